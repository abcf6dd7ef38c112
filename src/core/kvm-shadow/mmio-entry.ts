/** Entries and memories of device accesses. Source: the reference, F. */
import type { Machine } from '../machine/machine.ts';
import type { MmioInfo } from '../machine/tables-today.ts';
import { hasBug } from './bugs.ts';
import { eraOf } from './era.ts';
import { isMmio, MMIO_GEN_MASK, mmioEntryOf, mmioSpte } from './spte.ts';
import { changesOf, spaceOf, vmOf } from './vm.ts';

/** What the policy `mmio-without` takes away. */
export const leftOut = (m: Machine, part: 'entries' | 'memory' | 'generation'): boolean =>
  m.settings['mmio-without'] === part;

/** Whether marks of devices carry the number that every change of the slots moves on. */
export const hasGeneration = (m: Machine): boolean => eraOf(m).generation && !leftOut(m, 'generation');

/** In the facts of a step: there is no such number. */
export const NO_GENERATION = -1;

/** `vcpu->arch.mmio_gen` against that of the slots: nothing that was remembered counts while they change. */
function isOfNow(m: Machine, known: MmioInfo): boolean {
  const { generation, updating } = changesOf(vmOf(m), spaceOf(m));
  return generation === undefined || (!updating && known.generation === generation);
}

/** `mark_mmio_spte`. */
export function setMmio(m: Machine, word: number, of: { gfn: number; access: number }): void {
  const old = m.word(word);
  const known = isMmio(old) ? mmioEntryOf(old) : undefined;
  const keeps = hasBug(m, 'F-B4') && known?.gfn === of.gfn;
  const now = changesOf(vmOf(m), spaceOf(m)).generation;
  const generation = keeps ? known.generation : now === undefined ? undefined : now & MMIO_GEN_MASK;
  m.step('mmio-set', { ...of, generation: generation ?? NO_GENERATION }, [word]);
  m.set('word', word, mmioSpte({ ...of, generation: generation ?? 0 }));
}

/** `vcpu_cache_mmio_info`: not while the slots are being changed. */
export function rememberMmio(m: Machine, of: { gva: bigint; gfn: number; access: number }): void {
  const { generation, updating } = changesOf(vmOf(m), spaceOf(m));
  if (updating || leftOut(m, 'memory')) return;
  m.step('mmio-remember', { gva: of.gva, gfn: of.gfn, generation: generation ?? NO_GENERATION });
  const page = of.gva & ~0xfffn;
  const known = { ...of, gva: page, access: of.access & 6, generation: generation ?? 0 };
  m.set('mmio', m.vcpu, Object.freeze(known));
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
