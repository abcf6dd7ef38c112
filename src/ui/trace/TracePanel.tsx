/** The kernel's own trace of a recorded program, in step with the model. */
import { useEffect, useMemo, useRef } from 'react';
import { KernelTrace, type PairedLine, type TracePart } from '../../conform/kernel-trace.ts';
import { go } from '../../store/cursor.ts';
import { set, type Run } from '../../store/state.ts';
import { isNarrow } from '../audit/Jump.tsx';
import { PanelFrame } from '../PanelFrame.tsx';
import { useSettledRun } from '../use-app.ts';
import { TRACE } from './words.ts';
import '../mmu/mmu.css';
import './trace.css';

export default function TracePanel(): React.JSX.Element | null {
  const at = useSettledRun();
  if (at === undefined) return null;
  return (
    <PanelFrame
      className="mmu trace"
      title={TRACE.title}
      opener="trace"
      uncalled
      close={() => {
        set({ traceOpen: false });
      }}
    >
      <Trace run={at.run} cursor={at.cursor} />
    </PanelFrame>
  );
}

function Trace({ run, cursor }: { run: Run; cursor: number }): React.JSX.Element {
  const { timeline, recording } = run;
  const trace = useMemo(
    () => (recording === undefined ? undefined : new KernelTrace(timeline, recording)),
    [timeline, recording],
  );
  const operation = cursor > timeline.begin ? timeline.operationAt(cursor - 1) : undefined;
  return (
    <div className="mmu-body" tabIndex={0} role="group" aria-label={TRACE.lines}>
      {trace !== undefined && <p className="quiet">{TRACE.about(trace.kernel)}</p>}
      {trace === undefined || operation === undefined ? (
        <p>{TRACE.before}</p>
      ) : (
        <>
          <div className="step">
            <h3>{TRACE.step(operation.number, trace.steps)}</h3>
            <code>{operation.text}</code>
          </div>
          <Part part={trace.partOf(operation)} cursor={cursor} />
        </>
      )}
    </div>
  );
}

function Part({ part, cursor }: { part: TracePart; cursor: number }): React.JSX.Element {
  const { lines, differences } = part;
  const paired = lines.filter(({ step }) => step !== undefined);
  const current = currentOf(lines, cursor);
  return (
    <>
      {differences.length > 0 && (
        <div className="differs" role="status">
          <b>{TRACE.differs}</b>
          {differences.map(({ what, expected, got }) => (
            <p key={what}>{TRACE.difference(what, expected, got)}</p>
          ))}
        </div>
      )}
      {lines.length === 0 ? (
        <p>{TRACE.none}</p>
      ) : (
        <ol>
          {lines.map((line) => (
            <Line key={line.line} line={line} cursor={cursor} isCurrent={line.line === current} />
          ))}
        </ol>
      )}
      {differences.length === 0 && paired.length > 0 && <p>{TRACE.agrees(paired.length)}</p>}
      <p className="quiet">{TRACE.notPaired}</p>
      <p className="quiet">{TRACE.left}</p>
    </>
  );
}

/** The line of the last event that the model has given so far. */
function currentOf(lines: readonly PairedLine[], cursor: number): number | undefined {
  let [found, last]: [number | undefined, number] = [undefined, -1];
  for (const { line, step = Infinity } of lines)
    if (step < cursor && step > last) [found, last] = [line, step];
  return found;
}

function Line({
  line,
  cursor,
  isCurrent,
}: {
  line: PairedLine;
  cursor: number;
  isCurrent: boolean;
}): React.JSX.Element {
  const { step, task, name, text } = line;
  const own = useRef<HTMLLIElement>(null);
  useEffect(() => {
    // On narrow screens the panel lies below the stage: the page must not move with each step.
    if (isCurrent && !isNarrow()) own.current?.scrollIntoView({ block: 'nearest' });
  }, [isCurrent]);
  const said = (
    <>
      {task !== 'vcpu0' && <i>{`${task} `}</i>}
      <b>{name}</b>
      {`: ${text}`}
    </>
  );
  const reached = step !== undefined && step < cursor;
  return (
    <li
      ref={own}
      data-line={line.line}
      className={step === undefined ? 'unpaired' : reached ? 'reached' : 'ahead'}
      aria-current={isCurrent ? 'step' : undefined}
    >
      {step === undefined ? (
        said
      ) : (
        <button
          type="button"
          title={TRACE.goTo}
          onClick={() => {
            go(step + 1);
          }}
        >
          {said}
        </button>
      )}
    </li>
  );
}
