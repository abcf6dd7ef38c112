/** Every rule of the audit in plain words, how it stands at the cursor, and a way to each step that went wrong. */
import { useMemo, useState } from 'react';
import { auditState } from '../../core/audit/audit.ts';
import {
  auditEvents,
  isAudited,
  kernelView,
  ruleViews,
  type AuditEvent,
  type KernelView,
  type RuleView,
} from '../../scene/audit-view.ts';
import { addressText } from '../../scene/inspected.ts';
import { set, type Run } from '../../store/state.ts';
import { auditHistory, type AuditHistory } from '../../timeline/audit-history.ts';
import { AUDIT, TROUBLES } from '../strings-later.ts';
import { MarkSign } from '../timeline/pieces.tsx';
import { useApp, useSettledRun } from '../use-app.ts';
import { PanelFrame } from '../PanelFrame.tsx';
import { Jump, stepText } from './Jump.tsx';
import { KernelChecks } from './KernelChecks.tsx';
import { Owed } from './Owed.tsx';
import { RuleRow } from './RuleRow.tsx';
import './audit.css';

export default function AuditPanel(): React.JSX.Element | null {
  const comparing = useApp((state) => state.runs.length > 1);
  const [wanted, setWanted] = useState<0 | 1>(0);
  const side = comparing ? wanted : 0;
  const at = useSettledRun(side);
  if (at === undefined) return null;
  return (
    <PanelFrame
      className="audit"
      title={comparing ? AUDIT.titleOf(SIDES[side]) : AUDIT.title}
      opener="audit"
      close={() => {
        set({ auditing: false });
      }}
      choice={
        comparing && (
          <span className="sides" role="group" aria-label={AUDIT.whose}>
            {([0, 1] as const).map((one) => (
              <button
                key={one}
                type="button"
                aria-label={AUDIT.side(SIDES[one])}
                aria-pressed={one === side}
                onClick={() => {
                  setWanted(one);
                }}
              >
                {SIDES[one]}
              </button>
            ))}
          </span>
        )
      }
    >
      {isAudited(at.run.timeline.program.settings) ? (
        <Audit run={at.run} cursor={at.cursor} />
      ) : (
        <div className="audit-body">
          <p className="verdict none">{AUDIT.none}</p>
          <Rules run={at.run} cursor={at.cursor} views={ruleViews(at.run.timeline, NO_HISTORY)} />
        </div>
      )}
    </PanelFrame>
  );
}

const SIDES = ['A', 'B'] as const;

const NO_HISTORY: AuditHistory = { broken: [], harm: [] };

function Audit({ run, cursor }: { run: Run; cursor: number }): React.JSX.Element {
  const { timeline } = run;
  const history = useMemo(() => auditHistory(timeline), [timeline]);
  // The world is the one at the cursor: whoever moved the cursor has moved the timeline.
  const views = ruleViews(timeline, history);
  const kernel = kernelView(timeline);
  const { kind } = auditState(timeline.world);
  const broken = views.filter(({ standing }) => standing === 'broken').length;
  return (
    <div className="audit-body">
      <p className={`verdict ${kind}`}>
        <i aria-hidden="true" />
        {kind === 'broken' ? AUDIT.now.broken(broken) : AUDIT.now[kind]}
      </p>
      <WholeRun run={run} cursor={cursor} history={history} />
      <Rules run={run} cursor={cursor} views={views} kernel={kernel} />
      <Owed run={run} cursor={cursor} />
      {kernel !== undefined && <KernelChecks run={run} kernel={kernel} />}
    </div>
  );
}

function Rules(props: {
  run: Run;
  cursor: number;
  views: readonly RuleView[];
  kernel?: KernelView | undefined;
}): React.JSX.Element {
  return (
    <section aria-labelledby="audit-rules">
      <h3 id="audit-rules">{AUDIT.rules.title}</h3>
      <ul className="rules">
        {props.views.map((view) => (
          <RuleRow key={view.id} view={view} run={props.run} cursor={props.cursor} kernel={props.kernel} />
        ))}
      </ul>
    </section>
  );
}

/** Listed at first: the first red step must be seen at once, and the rules too. */
const FIRST_LISTED = 6;

function WholeRun(props: { run: Run; cursor: number; history: AuditHistory }): React.JSX.Element {
  const { run, cursor, history } = props;
  const events = useMemo(() => auditEvents(run.timeline, history), [run, history]);
  const [all, setAll] = useState(false);
  const listed = all ? events : events.slice(0, FIRST_LISTED);
  return (
    <section aria-labelledby="audit-run">
      <h3 id="audit-run">{AUDIT.run.title}</h3>
      {events.length === 0 && <p className="quiet">{AUDIT.run.clean}</p>}
      <ol className="events" aria-label={AUDIT.run.list}>
        {listed.map((event) => (
          <li key={`${event.kind}${String(event.step)}${keyOf(event)}`} className={event.kind}>
            <Jump
              run={run}
              step={event.step}
              cursor={cursor}
              text={(step) => `${step[0]?.toUpperCase() ?? ''}${step.slice(1)}`}
            />
            <EventSign event={event} />
            <Event run={run} event={event} />
          </li>
        ))}
      </ol>
      {listed.length < events.length && (
        <button
          type="button"
          onClick={() => {
            setAll(true);
          }}
        >
          {AUDIT.run.all(events.length)}
        </button>
      )}
    </section>
  );
}

const keyOf = (event: AuditEvent): string =>
  event.kind === 'broken'
    ? event.rules[0].violation.rule
    : event.kind === 'harm'
      ? String(event.done.harm.serial)
      : '';

/** The sign under which the timeline has it. */
function EventSign({ event }: { event: AuditEvent }): React.JSX.Element {
  const letter = event.kind === 'broken' ? 'B' : event.kind === 'harm' ? 'H' : undefined;
  return (
    <svg className="sign" viewBox="-10 -10 20 20" aria-hidden="true">
      {letter !== undefined && event.kind !== 'stop' && (
        <MarkSign mark={{ kind: event.kind, letter, step: event.step, meaning: '' }} x={0} y={0} />
      )}
    </svg>
  );
}

function Event({ run, event }: { run: Run; event: AuditEvent }): React.JSX.Element {
  if (event.kind === 'stop')
    return (
      <p>
        <b>{TROUBLES.stopped}</b>
        <small>{event.message}</small>
      </p>
    );
  if (event.kind === 'harm') {
    const { kind, gva, got, correct } = event.done.harm;
    const [frame, right] = [
      `0x${got.toString(16)}`,
      correct === undefined ? correct : `0x${correct.toString(16)}`,
    ];
    return (
      <p>
        <b>{AUDIT.run.harm[kind]}</b>
        <small>{AUDIT.harm(addressText(gva, run.plan.names), frame, right)}</small>
      </p>
    );
  }
  const [first] = event.rules;
  const mended = event.rules.every((rule) => rule.mended !== undefined) ? first.mended : undefined;
  return (
    <p>
      <b>{AUDIT.run.breaks(first.violation.rule, event.rules.length)}</b>
      <small>
        {AUDIT.rules.cause(stepText(run, first.cause))}
        {mended === undefined ? '' : `, ${AUDIT.run.mended(stepText(run, mended))}`}
      </small>
    </p>
  );
}
