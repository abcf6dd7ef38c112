/** `handle_mmio_page_fault`: the processor met an entry that marks a device. Source: the reference, F.3. */
import type { Machine } from '../machine/machine.ts';
import { matchesGpa, matchesGva, rememberMmio } from './mmio-entry.ts';
import { isDirect } from './role.ts';
import type { PfResult } from './set-spte.ts';
import { shadowPath } from './shadow-walk.ts';
import { isMmio, MMIO_GEN_MASK, mmioEntryOf } from './spte.ts';
import { vmOf } from './vm.ts';

export function handleMmio(m: Machine, gva: bigint): PfResult {
  return m.call('handle_mmio_page_fault', { gva }, () => {
    const direct = isDirect(m.must('mmu', m.vcpu).rootRole);
    const hit = direct ? matchesGpa(m, gva) : matchesGva(m, gva);
    m.step('mmio-quick', { gva, hit });
    if (hit) return 'emulate';
    const last = shadowPath(m, gva).at(-1);
    const entry = last === undefined ? 0n : m.word(last.word);
    if (!isMmio(entry)) return 'retry';
    const known = mmioEntryOf(entry);
    const { generation, updating } = vmOf(m);
    const now = generation & MMIO_GEN_MASK;
    const valid = !updating && known.generation === now;
    m.step('mmio-check', { entry, generation: known.generation, now, valid });
    if (!valid) return 'invalid';
    const address = direct ? 0n : gva;
    m.step('mmio-found', { gva: address, gfn: known.gfn, access: known.access });
    rememberMmio(m, { gva: address, gfn: known.gfn, access: known.access });
    return 'emulate';
  });
}
