/** One rule: how it stands, and unfolded where it must hold, what broke it, and whether the kernel would have known. */
import type { BrokenRule } from '../../timeline/audit-history.ts';
import { originOf } from '../../core/audit/origin.ts';
import { subjectOf, type KernelView, type RuleView } from '../../scene/audit-view.ts';
import type { Settings } from '../../core/settings.ts';
import { select, type Run } from '../../store/state.ts';
import { AUDIT } from '../strings-later.ts';
import { Terms } from '../Terms.tsx';
import { Jump } from './Jump.tsx';

const { rules: WORDS } = AUDIT;
/** Cases told one by one; the rest is counted. */
const MOST_CASES = 3;

interface Props {
  readonly view: RuleView;
  readonly run: Run;
  readonly cursor: number;
  readonly kernel: KernelView | undefined;
}

export function RuleRow({ view, run, cursor, kernel }: Props): React.JSX.Element {
  const { id, words, spec, standing, cases } = view;
  const wrong = standing === 'broken' || standing === 'coming';
  return (
    <li className={`rule ${standing.replace(' ', '-')}`}>
      <details open={wrong}>
        <summary>
          <i aria-hidden="true" />
          <span>
            <b>{WORDS.standing[standing]}</b>
            {` ${words}`}
          </span>
          <abbr title={spec.means}>{id}</abbr>
        </summary>
        {standing === 'in flight' && <p>{inFlight(view)}</p>}
        {cases.slice(0, MOST_CASES).map((one) => (
          <Case
            key={one.violation.serial}
            one={one}
            run={run}
            cursor={cursor}
            coming={standing === 'coming'}
            // What is not broken here is not to be found here.
            kernel={standing === 'broken' ? kernel : undefined}
          />
        ))}
        {cases.length > MOST_CASES && <p className="quiet">{WORDS.more(cases.length - MOST_CASES)}</p>}
        <dl>
          <dt>{WORDS.mustHold}</dt>
          <dd>{`${spec.points.map((point) => WORDS.point[point]).join(', ')}.`}</dd>
          <dt>{WORDS.precisely}</dt>
          <dd>
            <Terms>{spec.means}</Terms>
          </dd>
        </dl>
      </details>
    </li>
  );
}

function inFlight({ id, isFalse }: RuleView): string {
  if (id === 'INV-6' && isFalse) return WORDS.inFlight.owed;
  return isFalse ? WORDS.inFlight.false : WORDS.inFlight.true;
}

function Case(props: {
  one: BrokenRule;
  run: Run;
  cursor: number;
  coming: boolean;
  kernel: KernelView | undefined;
}): React.JSX.Element {
  const { one, run, cursor, coming, kernel } = props;
  const { violation, cause, found, mended } = one;
  const { timeline, show, plan } = run;
  const subject = subjectOf(violation.subject, { timeline, show, names: plan.names });
  const finds = kernel?.finds(violation);
  return (
    <div
      className="case"
      // What the rule is about lights up on the stage, as with a hover there.
      onPointerEnter={() => {
        if (subject.row !== undefined) select(subject.row);
      }}
      onPointerLeave={() => {
        select(undefined);
      }}
    >
      <p className="jumps">
        <Jump run={run} step={cause} cursor={cursor} text={WORDS.cause} />
        <Jump run={run} step={found} cursor={cursor} text={coming ? WORDS.willBeFound : WORDS.found} />
        {mended !== undefined && <Jump run={run} step={mended} cursor={cursor} text={WORDS.mended} />}
      </p>
      <dl>
        <dt>{WORDS.about}</dt>
        <dd>{`${subject.text}; found ${WORDS.foundAt[violation.point]}.`}</dd>
        <dt>{WORDS.goesBack}</dt>
        <dd>{`${originText(violation.bug, plan.program.settings)}.`}</dd>
        {kernel !== undefined && (
          <>
            <dt>{WORDS.kernel}</dt>
            <dd>{finds === undefined ? WORDS.unseen : WORDS.seen(finds)}</dd>
          </>
        )}
      </dl>
    </div>
  );
}

export function originText(bug: string | undefined, settings: Settings): string {
  if (bug === undefined) return WORDS.unknown;
  const origin = originOf(bug, settings);
  if (origin.kind === 'outside') return WORDS.outside;
  if (origin.kind === 'policy') return WORDS.policy(origin.id, origin.choice);
  return origin.kind === 'shipped'
    ? WORDS.shipped(origin.id, origin.meaning)
    : WORDS.onPurpose(origin.id, origin.meaning);
}
