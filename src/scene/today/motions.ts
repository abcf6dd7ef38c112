/** What moves in a step of a KVM of today, where it is not what moves on every machine. */
import type { Context, Motion, SceneBox } from '../parts.ts';

/** Steps that change the record of a shadow page: its whole box flashes. */
const OF_PAGES: ReadonlySet<string> = new Set(['unsync-page', 'sync-page', 'sp-zap', 'sp-doom', 'sp-root']);
/** Steps in which a request is made or taken, or a role or root changes: the vCPU flashes. */
const OF_VCPUS: ReadonlySet<string> = new Set([
  'request-make',
  'request-take',
  'role-set',
  'root-load',
  'root-free',
  'root-rotate',
  'mmio-remember',
  'mmio-forget',
]);

export function motionsOf(
  context: Context,
  { boxes }: { boxes: readonly SceneBox[] },
): readonly Motion[] | undefined {
  const { step } = context;
  if (step === undefined) return undefined;
  // Asking all vCPUs to flush empties nothing yet: that is the flush before each of them enters the guest.
  if (step.kind === 'flush-remote') return flashes(boxes.filter(({ id }) => id.startsWith('vcpu:')));
  if (step.kind === 'sync-entry') return rowFlashes(boxes);
  if (OF_PAGES.has(step.kind)) {
    const touched = boxes.filter(
      ({ zone, state }) => zone === 'hypervisor' && state !== 'quiet' && state !== 'absent',
    );
    return touched.length === 0 ? undefined : flashes(touched);
  }
  if (OF_VCPUS.has(step.kind)) {
    const vcpu = step.kind === 'request-make' ? Number(step.facts['vcpu']) : step.vcpu;
    return flashes(boxes.filter(({ id }) => id === `vcpu:${String(vcpu)}`));
  }
  return undefined;
}

const flashes = (boxes: readonly SceneBox[]): readonly Motion[] =>
  boxes.map(({ id }) => ({ kind: 'update', box: id }));

/** The shadow entry and the guest's behind it pulse together as the one is read anew from the other. */
const rowFlashes = (boxes: readonly SceneBox[]): readonly Motion[] =>
  boxes.flatMap((box) =>
    box.rows
      .filter(({ state }) => state !== 'quiet')
      .map((row): Motion => ({ kind: 'read', box: box.id, row: row.id })),
  );
