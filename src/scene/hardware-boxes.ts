/** The vCPU and its TLB as boxes. */
import { gfnOfAddress, pfnOfAddress } from '../core/quantities.ts';
import { gfnOfPfn } from '../core/kvm/memslots.ts';
import { shadowPageAt } from '../core/kvm/shadow-page.ts';
import { currentAsidOf } from '../core/kvm/vendor.ts';
import { differsFromTables } from '../core/hardware/tlb.ts';
import type { TlbEntry } from '../core/machine/tables.ts';
import { hex, place, type Context, type SceneBox, type SceneRow } from './parts.ts';

export function hardwareBoxes(context: Context): readonly SceneBox[] {
  const vcpu = context.world.get('vcpu', 0);
  const reg = (name: string): bigint => context.world.get('reg', `0.${name}`) ?? 0n;
  const root = shadowPageAt(context.world, pfnOfAddress(reg('root_hpa')));
  const asid = currentAsidOf(context.world, 0);
  const inGuest = vcpu?.mode === 'guest';
  const modeChanged = context.changes.has('vcpu:0');
  const owed = [...context.world.tables.owed.values()].filter((debt) => debt.vcpu === 0);
  const overdue = owed.some((debt) => debt.overdue === true);
  const cpu: SceneBox = {
    ...place(context, 'vcpu:0'),
    id: 'vcpu:0',
    zone: 'hardware',
    title: 'vCPU 0',
    subtitle: inGuest
      ? 'in guest'
      : vcpu?.mode === 'user space'
        ? 'in user space'
        : `in exit ${String(vcpu?.exitSerial ?? 0)}`,
    rows: [
      {
        id: 'reg:cr3',
        index: 'CR3',
        text: `gfn ${hex(gfnOfAddress(reg('cr3')))}${root === undefined ? '' : ` → sp ${String(root.serial)}`}`,
        flags: [],
        state:
          context.changes.has('reg:0.cr3') || context.changes.has('reg:0.root_hpa') ? 'changed' : 'quiet',
      },
    ],
    fold: '',
    state: modeChanged ? 'touched' : 'quiet',
    ...(owed.length === 0 ? {} : { badge: overdue ? 'flush overdue' : 'flush owed before entry' }),
  };
  const entries = [...context.world.tables.tlb.values()].sort((a, b) => a.serial - b.serial);
  const live = entries.filter((entry) => entry.vcpu === 0 && entry.asid === asid);
  const rows = live.slice(-12).map((entry) => tlbRow(context, entry));
  const tlbTouched = [...context.changes.keys(), ...context.reads].some((id) => id.startsWith('tlb:'));
  const flushed = context.step?.op === 'flush' || context.step?.facts['freshAsid'] === true;
  const dead = entries.length - live.length;
  const tlb: SceneBox = {
    ...place(context, 'tlb:0'),
    id: 'tlb:0',
    zone: 'hardware',
    title: 'TLB',
    subtitle: asid === 0 ? '' : `ASID ${String(asid)}`,
    rows,
    fold: [live.length === 0 ? 'empty' : '', dead > 0 ? `${String(dead)} of older ASIDs, unusable` : '']
      .filter((part) => part !== '')
      .join(' · '),
    state: tlbTouched || flushed ? 'touched' : 'quiet',
  };
  return [cpu, tlb];
}

function tlbRow(context: Context, entry: TlbEntry): SceneRow {
  const key = `tlb:0:${String(entry.serial)}`;
  const gva = BigInt(entry.vpn) << 12n;
  const rights = [entry.writable ? 'W' : '–', entry.user ? 'U' : '–', entry.executable ? 'X' : '–'];
  const differs = differsFromTables(context.world, entry);
  const row: SceneRow = {
    id: key,
    index: '',
    text: `${context.nameOf(gva) ?? `…${hex(gva).slice(-8, -3)}`} → ${hex(gfnOfPfn(entry.pfn) ?? entry.pfn)}`,
    flags: rights.map((text) => ({ text, set: text !== '–', changed: false, meaning: 'cached right' })),
    state: context.changes.has(key) ? 'changed' : context.reads.has(key) ? 'read' : 'quiet',
  };
  return differs ? { ...row, text: `${row.text} ≠ tables`, mark: 'no longer what the tables say' } : row;
}
