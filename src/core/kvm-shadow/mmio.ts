/** `handle_mmio_page_fault`: the processor met an entry that marks a device. Source: the reference, F.3. */
import type { Machine } from '../machine/machine.ts';
import { eraOf } from './era.ts';
import { matchesGpa, matchesGva, rememberMmio } from './mmio-entry.ts';
import { isDirect } from './role.ts';
import type { PfResult } from './set-spte.ts';
import { shadowPath } from './shadow-walk.ts';
import { isMmio, MMIO_GEN_MASK, mmioEntryOf } from './spte.ts';
import { changesOf, spaceOf, vmOf } from './vm.ts';

export function handleMmio(m: Machine, gva: bigint): PfResult {
  return m.call('handle_mmio_page_fault', { gva }, () => {
    const direct = isDirect(m.must('mmu', m.vcpu).rootRole);
    const hit = direct ? matchesGpa(m, gva) : matchesGva(m, gva);
    m.step('mmio-quick', { gva, hit });
    if (hit) {
      m.count('mmio_quick_hits');
      return 'emulate';
    }
    m.preempt('handle_mmio_page_fault/before-walk');
    const last = shadowPath(m, gva).at(-1);
    const entry = last === undefined ? 0n : m.word(last.word);
    if (!isMmio(entry)) {
      if (direct && entry !== 0n && eraOf(m).strangeEntryIsBug) m.step('mmio-bug', { entry });
      return 'retry';
    }
    if (!isCurrent(m, entry)) return 'invalid';
    const { gfn, access } = mmioEntryOf(entry);
    const address = direct ? 0n : gva;
    m.step('mmio-found', { gva: address, gfn, access });
    m.count('mmio_entry_hits');
    rememberMmio(m, { gva: address, gfn, access });
    return 'emulate';
  });
}

/** `check_mmio_spte`: whether the slots are as they were when the mark was made. Without a generation every mark counts. */
function isCurrent(m: Machine, entry: bigint): boolean {
  const { generation, updating } = changesOf(vmOf(m), spaceOf(m));
  if (generation === undefined) return true;
  const known = mmioEntryOf(entry);
  const now = generation & MMIO_GEN_MASK;
  const valid = !updating && known.generation === now;
  m.step('mmio-check', { entry, generation: known.generation, now, valid });
  if (!valid) m.count('mmio_stale');
  return valid;
}
