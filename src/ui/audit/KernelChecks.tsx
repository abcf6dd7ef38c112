/** The three checks that the kernel had on itself, at the cursor: what they say, and what they cannot see. */
import { KERNEL_AUDITS, RULE_OF_KERNEL_AUDIT, type KernelAuditName } from '../../core/audit/kernel-audits.ts';
import type { KernelView } from '../../scene/audit-view.ts';
import { addressText } from '../../scene/inspected.ts';
import type { Run } from '../../store/state.ts';
import { AUDIT } from '../strings-later.ts';

const { kernel: WORDS } = AUDIT;
/** Findings told one by one, as the kernel would have printed them. */
const MOST_FINDINGS = 3;

export function KernelChecks({ run, kernel }: { run: Run; kernel: KernelView }): React.JSX.Element {
  return (
    <section aria-labelledby="audit-kernel">
      <h3 id="audit-kernel">{WORDS.title}</h3>
      <p className="quiet">{WORDS.how}</p>
      <ul className="checks">
        {KERNEL_AUDITS.map((name) => (
          <Check key={name} name={name} run={run} kernel={kernel} />
        ))}
      </ul>
      {kernel.atWork && kernel.complains.length > 0 && <p>{WORDS.atWork}</p>}
      <p>{WORDS.blindAll}</p>
    </section>
  );
}

function Check(props: { name: KernelAuditName; run: Run; kernel: KernelView }): React.JSX.Element {
  const { name, run, kernel } = props;
  const complains = kernel.complains.includes(name);
  return (
    <li className={complains ? 'complains' : 'passes'}>
      <p className="check">
        <i aria-hidden="true" />
        <b>{complains ? WORDS.complains : WORDS.passes}</b>
        <code>{name}</code>
        <small>{WORDS.ours(RULE_OF_KERNEL_AUDIT[name])}</small>
      </p>
      <p>{WORDS.asks[name]}</p>
      {findings(name, { run, kernel })
        .slice(0, MOST_FINDINGS)
        .map((sentence) => (
          <p key={sentence} className="says">
            {sentence}
          </p>
        ))}
      <p className="quiet">{WORDS.blind[name]}</p>
    </li>
  );
}

const hex = (frame: number): string => `0x${frame.toString(16)}`;

function findings(name: KernelAuditName, of: { run: Run; kernel: KernelView }): readonly string[] {
  const { rmap, writeProtection, mappings } = of.kernel.audits;
  switch (name) {
    case 'audit_rmap':
      return [WORDS.rmap(rmap.listed, rmap.writable)];
    case 'audit_write_protection':
      return writeProtection.found.length === 0
        ? [WORDS.writeProtection(writeProtection.pages)]
        : writeProtection.found.map(({ gfn, words }) => WORDS.writable(hex(gfn), words.length));
    case 'audit_mappings':
      return mappings.found.length === 0
        ? [WORDS.mappings(mappings.leaves)]
        : mappings.found.map(({ gva, mapped, named }) =>
            WORDS.wrong(
              addressText(gva, of.run.plan.names),
              hex(mapped),
              named === undefined ? undefined : hex(named),
            ),
          );
  }
}
