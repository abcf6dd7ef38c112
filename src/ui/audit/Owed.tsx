/** Flushes that the hypervisor owes at the cursor. */
import { owedViews } from '../../scene/audit-view.ts';
import type { Run } from '../../store/state.ts';
import { AUDIT } from '../strings-later.ts';
import { Jump } from './Jump.tsx';
import { originText } from './RuleRow.tsx';

const { owed: WORDS } = AUDIT;

export function Owed({ run, cursor }: { run: Run; cursor: number }): React.JSX.Element {
  const { timeline, show, plan } = run;
  const views = owedViews({ timeline, show, names: plan.names });
  return (
    <section aria-labelledby="audit-owed">
      <h3 id="audit-owed">{WORDS.title}</h3>
      {views.length === 0 && <p className="quiet">{WORDS.none}</p>}
      <ul className="owed">
        {views.map(({ owed, entries, overdueSince }) => (
          <li key={owed.serial} className={owed.overdue === true ? 'overdue' : undefined}>
            <p>
              <b>{`${WORDS.who(owed.vcpu)}, `}</b>
              {`${owed.overdue === true ? WORDS.overdue : WORDS.due(owed.vcpu)}.`}
            </p>
            <p className="jumps">
              <Jump run={run} step={owed.cause} cursor={cursor} text={WORDS.since} />
              {overdueSince !== undefined && (
                <Jump run={run} step={overdueSince} cursor={cursor} text={WORDS.overdueSince} />
              )}
            </p>
            <p className="quiet">
              {WORDS.entries(entries.join('; '))}
              {owed.bug === undefined
                ? ''
                : ` ${WORDS.nobody}: ${originText(owed.bug, plan.program.settings)}.`}
            </p>
          </li>
        ))}
      </ul>
    </section>
  );
}
