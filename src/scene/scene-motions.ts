/** What moves in a step, and where. */
import { type Context, type Motion, type SceneBox, type SceneLink } from './parts.ts';

export function motionsOf(
  context: Context,
  drawn: { boxes: readonly SceneBox[]; links: readonly SceneLink[] },
): readonly Motion[] {
  const { step } = context;
  if (step === undefined) return [];
  if (step.kind === 'vm-exit' || step.kind === 'vm-entry')
    return [
      { kind: 'exit', box: 'vcpu:0' },
      ...(step.changes.some((c) => c.place.table === 'tlb') || step.facts['freshAsid'] === true
        ? [{ kind: 'flush', box: 'tlb:0' } as const]
        : []),
    ];
  if (step.op === 'flush') return [{ kind: 'flush', box: 'tlb:0' }];
  const kind: Motion['kind'] =
    step.kind === 'write-protect'
      ? 'write-protect'
      : step.op === 'read' || step.op === 'lookup' || step.op === 'hit'
        ? 'read'
        : step.kind === 'walk-fault' || step.kind === 'guest-walk-refuse' || step.kind === 'tlb-refuse'
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

/** A fault shakes what refused: the step itself reads nothing, so the vCPU shakes. */
const faultMotion = (boxes: readonly SceneBox[], context: Context): readonly Motion[] => {
  const box =
    boxes.find((candidate) => candidate.rows.some((row) => row.state !== 'quiet')) ??
    boxes.find((candidate) => candidate.id === 'vcpu:0');
  return box === undefined || context.step === undefined ? [] : [{ kind: 'fault', box: box.id }];
};
