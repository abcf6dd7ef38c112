/** A button that goes to a step. */
import { goOfSide } from '../../store/cursor.ts';
import { store, type Run } from '../../store/state.ts';
import { stepNumber } from '../../scene/audit-view.ts';
import { AUDIT } from '../strings-later.ts';

export const stepText = (run: Run, step: number): string => AUDIT.step(stepNumber(run.timeline, step));

/** Where the panel stands below the stage, and not beside it. */
export const isNarrow = (): boolean => matchMedia('(max-width: 760px)').matches;

export function Jump({
  run,
  step,
  cursor,
  text,
}: {
  run: Run;
  step: number;
  cursor: number;
  /** What the button says, from the words for the step: `step 24`. */
  text: (step: string) => string;
}): React.JSX.Element {
  const here = cursor === step + 1;
  return (
    <button
      type="button"
      className="jump"
      aria-current={here ? 'step' : undefined}
      onClick={() => {
        goOfSide(store.getState().runs.indexOf(run), step + 1);
        // The stage is what one jumps for.
        if (isNarrow()) document.querySelector('main')?.scrollIntoView();
      }}
    >
      {text(stepText(run, step))}
    </button>
  );
}
