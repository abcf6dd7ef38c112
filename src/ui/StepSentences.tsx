/** A step in two sentences, and the alarms that it raises. */
import type { Settings } from '../core/settings.ts';
import { alarmsOf, sentenceOf } from '../scene/sentences.ts';
import type { StepView } from '../timeline/timeline.ts';
import { Sentences } from './Sentences.tsx';

export default function StepSentences(of: { step: StepView; settings: Settings }): React.JSX.Element {
  return (
    <>
      <Sentences {...sentenceOf(of.step, of.settings)} />
      {alarmsOf(of.step).map((alarm) => (
        <p key={alarm} className="alarm">
          {alarm}
        </p>
      ))}
    </>
  );
}
