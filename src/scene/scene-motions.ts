/** What moves in a step, and where. */
import { type Context, type Motion, type SceneBox, type SceneLink } from './parts.ts';

export function motionsOf(
  context: Context,
  drawn: { boxes: readonly SceneBox[]; links: readonly SceneLink[] },
): readonly Motion[] {
  const { step } = context;
  if (step === undefined) return [];
  const [cpu, tlb] = [`vcpu:${String(step.vcpu)}`, `tlb:${String(step.vcpu)}`];
  if (step.kind === 'vm-exit' || step.kind === 'vm-entry')
    return [
      step.facts['reason'] === 'IPI' ? interrupt(drawn.boxes, cpu) : { kind: 'exit', box: cpu },
      ...(step.changes.some((c) => c.place.table === 'tlb') || step.facts['freshAsid'] === true
        ? [{ kind: 'flush', box: tlb } as const]
        : []),
    ];
  const emptied = step.op === 'flush' || Number(step.facts['dropped'] ?? 0) > 0;
  if (emptied) return sweeps(drawn.boxes, context);
  const kind: Motion['kind'] =
    step.kind === 'write-protect' || step.kind === 'leaf-protect'
      ? 'write-protect'
      : step.op === 'read' || step.op === 'lookup' || step.op === 'hit'
        ? 'read'
        : FAULTS.has(step.kind)
          ? 'fault'
          : 'update';
  if (kind === 'fault') return faultMotion(drawn.boxes, context);
  return drawn.boxes.flatMap((box) =>
    box.rows
      .filter((row) => row.state !== 'quiet')
      .map((row) => {
        const link = drawn.links.find(
          (candidate) => candidate.to.box === box.id && candidate.kind === 'table',
        );
        return { kind, box: box.id, row: row.id, ...(link === undefined ? {} : { link: link.id }) };
      }),
  );
}

/** From the vCPU that the hypervisor works for, where there is one: a thread of the host has no box. */
function interrupt(boxes: readonly SceneBox[], box: string): Motion {
  const sender = boxes.find(
    ({ id, subtitle }) => id.startsWith('vcpu:') && id !== box && subtitle.startsWith('in exit'),
  );
  return { kind: 'ipi', box, ...(sender === undefined ? {} : { from: sender.id }) };
}

const FAULTS: ReadonlySet<string> = new Set([
  'walk-fault',
  'guest-walk-refuse',
  'gwalk-error',
  'tlb-refuse',
  'host-fault',
  'arm-abort',
]);

/** An invalidation sweeps the TLB, and the table caches where something goes there too. */
const sweeps = (boxes: readonly SceneBox[], { step }: Context): readonly Motion[] => {
  const tables = step?.changes.some((change) => change.place.table === 'psc') ?? false;
  return [`tlb:${String(step?.vcpu ?? 0)}`, ...(tables ? ['psc:0'] : [])]
    .filter((id) => boxes.some((box) => box.id === id))
    .map((box) => ({ kind: 'flush', box }));
};

/** A fault shakes what refused; a step that reads nothing itself shakes the table read just before, or the vCPU. */
const faultMotion = (boxes: readonly SceneBox[], context: Context): readonly Motion[] => {
  const box =
    boxes.find((candidate) => candidate.rows.some((row) => row.state !== 'quiet')) ??
    boxes.find((candidate) => candidate.rows.some((row) => context.refused?.has(row.id) === true)) ??
    boxes.find((candidate) => candidate.id === `vcpu:${String(context.step?.vcpu ?? 0)}`);
  return box === undefined || context.step === undefined ? [] : [{ kind: 'fault', box: box.id }];
};
