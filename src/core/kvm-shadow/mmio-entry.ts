/** Entries and memories of device accesses. Source: the reference, F. */
import type { Machine } from '../machine/machine.ts';
import { MMIO_GEN_MASK, mmioSpte } from './spte.ts';
import { vmOf } from './vm.ts';

/** `mark_mmio_spte`. */
export function setMmio(m: Machine, word: number, of: { gfn: number; access: number }): void {
  const generation = vmOf(m).generation & MMIO_GEN_MASK;
  m.step('mmio-set', { ...of, generation }, [word]);
  m.set('word', word, mmioSpte({ ...of, generation }));
}

/** `vcpu_cache_mmio_info`: not while the slots are being changed. */
export function rememberMmio(m: Machine, of: { gva: bigint; gfn: number; access: number }): void {
  const { generation, updating } = vmOf(m);
  if (updating) return;
  m.step('mmio-remember', { gva: of.gva, gfn: of.gfn, generation });
  const page = of.gva & ~0xfffn;
  m.set('mmio', m.vcpu, Object.freeze({ ...of, gva: page, access: of.access & 6, generation }));
}

/** `vcpu_clear_mmio_info`: all, or what is remembered of one address. */
export function forgetMmio(m: Machine, gva?: bigint): void {
  const known = m.get('mmio', m.vcpu);
  if (known === undefined || known.gva === 0n) return;
  if (gva !== undefined && known.gva !== (gva & ~0xfffn)) return;
  m.step('mmio-forget', { gfn: known.gfn });
  m.set('mmio', m.vcpu, Object.freeze({ ...known, gva: 0n }));
}

/** `vcpu_match_mmio_gva`. */
export function matchesGva(m: Machine, gva: bigint): boolean {
  const known = m.get('mmio', m.vcpu);
  return (
    known !== undefined &&
    known.generation === vmOf(m).generation &&
    known.gva !== 0n &&
    known.gva === (gva & ~0xfffn)
  );
}

/** `vcpu_match_mmio_gpa`. */
export function matchesGpa(m: Machine, gpa: bigint): boolean {
  const known = m.get('mmio', m.vcpu);
  return (
    known !== undefined &&
    known.generation === vmOf(m).generation &&
    known.gfn !== 0 &&
    known.gfn === Number(gpa >> 12n)
  );
}
