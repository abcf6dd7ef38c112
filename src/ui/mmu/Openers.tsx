/** The buttons of a KVM of today: its MMU context, and the kernel's own trace of a recorded program. */
import { openSide, sideOf, useApp } from '../use-app.ts';
import { set } from '../../store/state.ts';
import { TRACE } from '../trace/words.ts';
import { MMU } from './words.ts';
import './mmu.css';

export default function Openers(): React.JSX.Element {
  const side = useApp(sideOf);
  const recorded = useApp((state) => state.runs[0]?.recording !== undefined);
  return (
    <>
      <button
        type="button"
        data-opens="context"
        aria-pressed={side === 'context'}
        onClick={() => {
          openSide(side === 'context' ? undefined : 'context');
        }}
      >
        {MMU.title}
      </button>
      {recorded && (
        <button
          type="button"
          data-opens="trace"
          aria-label={TRACE.title}
          title={TRACE.title}
          aria-pressed={side === 'tracing'}
          onClick={() => {
            if (side === 'tracing') set({ traceOpen: false });
            else openSide('tracing');
          }}
        >
          {TRACE.short}
        </button>
      )}
    </>
  );
}
