/** Rules that break and harm that is done in the step of the caption. */
import type { Settings } from '../core/settings.ts';
import { alarmsOf } from '../scene/alarms.ts';
import type { StepView } from '../timeline/timeline.ts';
import './troubles.css';

export default function Alarms({
  step,
  settings,
}: {
  step: StepView;
  settings: Settings;
}): React.JSX.Element[] {
  return alarmsOf(step, settings).map((alarm) => (
    <p key={alarm} className="alarm">
      {alarm}
    </p>
  ));
}
