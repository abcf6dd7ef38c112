/** The MMU context shows what is in the world, and asks core as the engine asks it. */
import { describe, expect, it } from 'vitest';
import { guestReservedBits, shadowReservedBits } from '../core/kvm-shadow/reserved.ts';
import { setMemslot } from '../core/kvm-shadow/memslots.ts';
import { kvmShadow } from '../core/kvm-shadow/kvm-shadow.ts';
import { cpuRoleOf, rootRoleOf } from '../core/kvm-shadow/role.ts';
import { CR0_PG, CR0_WP, CR4_PAE, CR4_PSE, EFER_LMA, EFER_NXE } from '../core/hardware/registers.ts';
import { Journal } from '../core/machine/journal.ts';
import { Machine } from '../core/machine/machine.ts';
import { gfn } from '../core/quantities.ts';
import { DEFAULT_SETTINGS } from '../core/settings.ts';
import { mmuViews, type MmuView } from './mmu-view.ts';

const LONG = { cr0: CR0_PG | CR0_WP, cr4: CR4_PAE, efer: EFER_LMA | EFER_NXE };
const PAE = { ...LONG, efer: EFER_NXE };
const TWO_LEVEL = { cr0: CR0_PG | CR0_WP, cr4: CR4_PSE, efer: 0n };
const NONPAGING = { cr0: 0n, cr4: 0n, efer: 0n };

/** A machine whose guest is paged so, and that has entered the guest once. */
function started(registers: { cr0: bigint; cr4: bigint; efer: bigint }, vcpus = 1): Machine {
  const settings = {
    ...DEFAULT_SETTINGS,
    machine: 'kvm-shadow',
    era: '6.12',
    cpu: 'svm',
    vcpus: String(vcpus),
  };
  const m = new Machine({ settings, journal: new Journal() });
  m.step('setup-slot', { gfn: 0, frames: 0x400 });
  m.set('slot', 0, Object.freeze({ firstGfn: gfn(0), frames: 0x400 }));
  for (let vcpu = 0; vcpu < vcpus; vcpu += 1) {
    m.vcpu = vcpu;
    for (const [name, value] of Object.entries({ ...registers, cr3: 0x1000n })) m.setReg(name, value);
  }
  m.vcpu = 0;
  kvmShadow.start(m);
  return m;
}

const viewOf = (m: Machine): MmuView => mmuViews(m.world)[0] as MmuView;
const valuesOf = (fields: MmuView['guest']['extension']): Readonly<Record<string, number>> =>
  Object.fromEntries(fields.filter(({ value }) => value !== 0).map(({ name, value }) => [name, value]));

describe('MMU context', () => {
  it('tells the fields of cpu_role and its extension, as the recorded kernels have the word', () => {
    const { guest } = viewOf(started(LONG));
    expect(guest.role.word).toBe('0x8100003704');
    expect(valuesOf(guest.role.fields)).toEqual({ level: 4, access: 7, efer_nx: 1, cr0_wp: 1 });
    expect(valuesOf(guest.extension)).toEqual({ valid: 1, efer_lma: 1 });
    expect(guest.cr3).toBe('0x1000');
    expect(guest.pdptrs).toBeUndefined();
  });

  it('has the permission bytes of the reference, and a mark for each of their bits', () => {
    const { permissions } = viewOf(started(LONG)).guest;
    expect(permissions.map(({ byte }) => byte).join(' ')).toBe(
      '00 33 0f 3f 00 33 0f 3f 55 77 5f 7f 55 77 5f 7f',
    );
    for (const { byte, faults } of permissions)
      expect(faults.map((fault, access) => Number(fault) << access).reduce((a, b) => a | b)).toBe(
        parseInt(byte, 16),
      );
    expect(permissions.filter(({ write, user, fetch }) => write && user && !fetch)).toHaveLength(2);
  });

  it('shows the root, what it is for, and how often its page is a root', () => {
    const views = mmuViews(started(LONG, 2).world);
    expect(views.map(({ vcpu }) => vcpu)).toEqual([0, 1]);
    for (const { roots } of views) {
      expect(roots.paeRoot).toBeUndefined();
      expect(roots.roots.map(({ number, pgd }) => [number, pgd])).toEqual([
        [0, '0x1000'],
        [1, undefined],
        [2, undefined],
        [3, undefined],
      ]);
      expect(roots.roots[0]?.page).toMatchObject({
        gfn: '0x1',
        role: roots.role.word,
        rootCount: 2,
        obsolete: false,
      });
      expect(roots.role.fields.filter(({ differs }) => differs)).toEqual([]);
    }
  });

  it('shows four entries where the root is no shadow page, and how root_role differs', () => {
    const { guest, roots } = viewOf(started(NONPAGING));
    expect(guest.levels).toBe(0);
    expect(guest.reserved).toEqual([]);
    expect(roots.roots[0]).toMatchObject({ isPae: true });
    expect(roots.roots[0]?.page).toBeUndefined();
    expect(roots.paeRoot?.map(({ page }) => page?.gfn)).toEqual(['0x0', '0x40000', '0x80000', '0xc0000']);
    expect(roots.role.fields.filter(({ differs }) => differs).map(({ name }) => name)).toEqual([
      'level',
      'efer_nx',
    ]);
    expect(viewOf(started(PAE)).guest.pdptrs).toHaveLength(4);
  });

  it('says that a root is obsolete once a slot has been deleted', () => {
    const m = started(LONG);
    setMemslot(m, { id: 0 });
    expect(viewOf(m).roots.roots[0]?.page).toMatchObject({ obsolete: true });
  });

  it('has nothing before there is a vCPU', () => {
    expect(mmuViews(new Machine({ settings: DEFAULT_SETTINGS, journal: new Journal() }).world)).toEqual([]);
  });
});

describe('reserved bits', () => {
  const of = (registers: typeof LONG): readonly (readonly [string, string, string | undefined])[] =>
    guestReservedBits(cpuRoleOf(registers)).map(({ at, small, large }) => [
      at.name,
      small.toString(16),
      large?.toString(16),
    ]);

  it("are the reference's, by level and size", () => {
    expect(of(LONG)).toEqual([
      ['PML4', 'fff0000000080', undefined],
      ['PDPT', 'fff0000000000', 'fff003fffe000'],
      ['PD', 'fff0000000000', 'fff00001fe000'],
      ['PT', 'fff0000000000', undefined],
    ]);
    expect(of(PAE)[0]).toEqual(['PDPT', 'ffffff00000001e6', undefined]);
    expect(of({ ...LONG, efer: EFER_LMA })[3]).toEqual(['PT', '800fff0000000000', undefined]);
    expect(of(TWO_LEVEL)).toEqual([
      ['PD', '0', '200000'],
      ['PT', '0', undefined],
    ]);
    expect(of({ ...TWO_LEVEL, cr4: 0n })[0]?.[2]).toBeUndefined();
    expect(of(NONPAGING)).toEqual([]);
  });

  it('of shadow entries leave bit 51, which marks devices, and have no-execute whatever the guest has', () => {
    for (const registers of [LONG, { ...LONG, efer: EFER_LMA }]) {
      const bits = shadowReservedBits(rootRoleOf(cpuRoleOf(registers)));
      expect(bits.at(-1)?.small).toBe(1n << 51n);
    }
    expect(shadowReservedBits(rootRoleOf(cpuRoleOf(TWO_LEVEL))).map(({ at }) => at.name)).toEqual([
      'PDPT',
      'PD',
      'PT',
    ]);
  });
});
