/** Entries and memories of device accesses. Source: the reference, F. */
import type { Machine } from '../machine/machine.ts';
import type { MmioInfo } from '../machine/tables-today.ts';
import { hasBug } from './bugs.ts';
import { isMmio, MMIO_GEN_MASK, mmioEntryOf, mmioSpte } from './spte.ts';
import { vmOf } from './vm.ts';

/** What the policy `mmio-without` takes away. */
export const leftOut = (m: Machine, part: 'entries' | 'memory' | 'generation'): boolean =>
  m.settings['mmio-without'] === part;

/** Low bits of the number that every change of the slots moves on; 0 where the machine has none. */
export const generationOf = (m: Machine): number =>
  leftOut(m, 'generation') ? 0 : vmOf(m).generation & MMIO_GEN_MASK;

/** `vcpu->arch.mmio_gen` against that of the slots: nothing that was remembered counts while they change. */
const isOfNow = (m: Machine, known: MmioInfo): boolean =>
  leftOut(m, 'generation') || (!vmOf(m).updating && known.generation === vmOf(m).generation);

/** `mark_mmio_spte`. */
export function setMmio(m: Machine, word: number, of: { gfn: number; access: number }): void {
  const old = m.word(word);
  const known = isMmio(old) ? mmioEntryOf(old) : undefined;
  const keeps = hasBug(m, 'F-B4') && known?.gfn === of.gfn;
  const generation = keeps ? known.generation : generationOf(m);
  m.step('mmio-set', { ...of, generation }, [word]);
  m.set('word', word, mmioSpte({ ...of, generation }));
}

/** `vcpu_cache_mmio_info`: not while the slots are being changed. */
export function rememberMmio(m: Machine, of: { gva: bigint; gfn: number; access: number }): void {
  const { generation, updating } = vmOf(m);
  if (updating || leftOut(m, 'memory')) return;
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
  return known !== undefined && isOfNow(m, known) && known.gva !== 0n && known.gva === (gva & ~0xfffn);
}

/** `vcpu_match_mmio_gpa`. */
export function matchesGpa(m: Machine, gpa: bigint): boolean {
  const known = m.get('mmio', m.vcpu);
  return known !== undefined && isOfNow(m, known) && known.gfn !== 0 && known.gfn === Number(gpa >> 12n);
}
