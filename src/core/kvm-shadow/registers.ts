/** The guest's control registers: each write exits. Source: the reference, D.7, D.10, D.12. */
import type { RegisterWrite } from '../engine.ts';
import {
  CR0_PG,
  CR0_WP,
  CR4_LA57,
  CR4_PAE,
  CR4_PCIDE,
  CR4_PGE,
  CR4_PKE,
  CR4_PSE,
  CR4_SMAP,
  CR4_SMEP,
  EFER_LMA,
  EFER_NXE,
  PHYSICAL_BITS,
} from '../hardware/registers.ts';
import { reservedInPdpte } from '../hardware/x86-format.ts';
import type { Machine } from '../machine/machine.ts';
import { fetchInstruction } from './emulate.ts';
import { makeRequest } from './flush.ts';
import { entryOfGuest } from './gpte.ts';
import { permissionBitmap } from './permissions.ts';
import { cpuRoleOf, cpuRoleWord, rootRoleOf } from './role.ts';
import { isInSmm } from './vm.ts';
import { freeRoots, mmuOf, newPgd, patchMmu, unloadMmu } from './roots.ts';

const CR4_ROLE = CR4_PSE | CR4_PAE | CR4_LA57 | CR4_SMEP | CR4_SMAP | CR4_PKE;
const PCID_BITS = 0xfffn;

/** `kvm_init_mmu`: how the guest pages now, and which roots serve it. */
export function initMmu(m: Machine): void {
  const registers = { cr0: m.reg('cr0'), cr4: m.reg('cr4'), efer: m.reg('efer'), smm: isInSmm(m) };
  const cpuRole = cpuRoleOf(registers);
  const rootRole = rootRoleOf(cpuRole);
  const has = (register: bigint, bit: bigint): boolean => (register & bit) !== 0n;
  m.step('role-set', { cpu: cpuRoleWord(cpuRole), root: rootRole });
  patchMmu(m, {
    cpuRole: Object.freeze(cpuRole),
    rootRole,
    permissions: Object.freeze(
      permissionBitmap({
        wp: has(registers.cr0, CR0_WP),
        nx: has(registers.efer, EFER_NXE),
        smep: has(registers.cr4, CR4_SMEP),
        smap: has(registers.cr4, CR4_SMAP),
      }),
    ),
  });
}

/** `kvm_mmu_reset_context`. */
export function resetContext(m: Machine): void {
  m.call('kvm_mmu_reset_context', { root: Number(m.reg('cr3') >> 12n) }, () => {
    unloadMmu(m);
    initMmu(m);
  });
}

/** Gives false where the guest gets #GP instead. */
export function setRegister(m: Machine, write: RegisterWrite): boolean {
  return m.call('set_register', { register: write.register }, () => {
    fetchInstruction(m, false);
    m.step('emulate-begin', { gva: m.reg('rip') });
    m.count('insn_emulation');
    switch (write.register) {
      case 'cr3':
        return setCr3(m, write);
      case 'cr0':
        return setCr0(m, write.value);
      case 'cr4':
        return setCr4(m, write.value);
      case 'efer':
        return setEfer(m, write.value);
      case 'pkru':
      case 'pkrs':
      case 'ac':
        return false;
    }
  });
}

const put = (m: Machine, register: string, value: bigint): void => {
  m.step('register-write', { register, value });
  m.setReg(register, value);
};

/** `kvm_set_cr3`. */
function setCr3(m: Machine, { value, pcid = 0, keep }: RegisterWrite): boolean {
  const pcide = (m.reg('cr4') & CR4_PCIDE) !== 0n;
  const cr3 = pcide ? value | BigInt(pcid) : value;
  const old = m.reg('cr3');
  const pae = isPae(m);
  if (pae && !loadPdptrs(m, cr3)) return false;
  if (cr3 !== old) newPgd(m, cr3);
  if (cr3 !== old || pae) put(m, 'cr3', cr3);
  if (keep !== true || !pcide) invalidatePcid(m, pcide ? cr3 & PCID_BITS : 0n);
  return true;
}

/** `kvm_invalidate_pcid`. */
function invalidatePcid(m: Machine, pcid: bigint): void {
  const pcide = (m.reg('cr4') & CR4_PCIDE) !== 0n;
  if (!pcide || (m.reg('cr3') & PCID_BITS) === pcid) {
    makeRequest(m, 'MMU_SYNC');
    makeRequest(m, 'TLB_FLUSH_CURRENT');
  }
  if (!pcide) return;
  const same = mmuOf(m).prevRoots.flatMap(({ pgd }, at) =>
    pgd !== undefined && (pgd & PCID_BITS) === pcid ? [at] : [],
  );
  freeRoots(m, { current: false, previous: same });
}

const isPae = (m: Machine, cr4 = m.reg('cr4')): boolean =>
  (m.reg('cr0') & CR0_PG) !== 0n && (cr4 & CR4_PAE) !== 0n && (m.reg('efer') & EFER_LMA) === 0n;

/** Where the guest has root entries, they are read anew. */
export function loadPdptrsOfPae(m: Machine): void {
  if (isPae(m)) loadPdptrs(m, m.reg('cr3'));
}

const RESERVED_PDPTE = reservedInPdpte(PHYSICAL_BITS);

/** `load_pdptrs`: the four root entries go into registers; other ones mean another root. */
export function loadPdptrs(m: Machine, cr3: bigint): boolean {
  const entries = [0n, 1n, 2n, 3n].map((index) => entryOfGuest(m, (cr3 & 0xffff_ffe0n) + index * 8n) ?? 0n);
  if (entries.some((entry) => (entry & 1n) !== 0n && (entry & RESERVED_PDPTE) !== 0n)) return false;
  const changed = entries.some((entry, index) => entry !== m.reg(`pdptr${String(index)}`));
  m.step('pdptr-read', { changed });
  if (!changed) return true;
  for (const [index, entry] of entries.entries()) m.setReg(`pdptr${String(index)}`, entry);
  freeRoots(m, { current: true, previous: [] });
  return true;
}

/** `kvm_set_cr0` and `kvm_post_set_cr0`. Where the guest gets #GP, nothing has changed. */
function setCr0(m: Machine, value: bigint): boolean {
  const changed = m.reg('cr0') ^ value;
  const pagingOn = (changed & value & CR0_PG) !== 0n;
  const pae = (m.reg('cr4') & CR4_PAE) !== 0n && (m.reg('efer') & EFER_LMA) === 0n;
  if (pagingOn && pae && !loadPdptrs(m, m.reg('cr3'))) return false;
  put(m, 'cr0', value);
  if (changed === CR0_WP && (value & CR0_PG) === 0n) return true;
  if ((changed & CR0_PG) !== 0n && (value & CR0_PG) === 0n) makeRequest(m, 'TLB_FLUSH_GUEST');
  if ((changed & (CR0_PG | CR0_WP)) !== 0n) resetContext(m);
  return true;
}

/** `kvm_set_cr4` and `kvm_post_set_cr4`. */
function setCr4(m: Machine, value: bigint): boolean {
  const old = m.reg('cr4');
  const changed = old ^ value;
  const readsPdptrs = isPae(m, value) && (changed & (CR4_PGE | CR4_PSE | CR4_PAE | CR4_SMEP)) !== 0n;
  if (readsPdptrs && !loadPdptrs(m, m.reg('cr3'))) return false;
  put(m, 'cr4', value);
  if ((changed & CR4_ROLE) !== 0n) resetContext(m);
  if ((changed & value & CR4_PCIDE) !== 0n) unloadMmu(m);
  if ((changed & CR4_PGE) !== 0n || (changed & old & CR4_PCIDE) !== 0n) makeRequest(m, 'TLB_FLUSH_GUEST');
  else if ((changed & CR4_PAE) !== 0n || (changed & value & CR4_SMEP) !== 0n)
    makeRequest(m, 'TLB_FLUSH_CURRENT');
  return true;
}

function setEfer(m: Machine, value: bigint): boolean {
  const changed = m.reg('efer') ^ value;
  put(m, 'efer', value);
  if ((changed & EFER_NXE) !== 0n) resetContext(m);
  return true;
}
