/** Memory slots: what their lines say, and operations on them and on the memory behind them. */
import { gfn, vcpuId } from '../core/quantities.ts';
import type { Operation, Slot } from '../core/operations/operation.ts';
import type { GuestRange, HostMemory, Line, SlotChange, SlotStatement, Statement } from './ast.ts';
import type { Ground } from './entries.ts';
import type { Report } from './machine-check.ts';
import { isToday, noHostMemory, noSmm } from './machine-words.ts';
import type { Settings } from '../core/settings.ts';

const PAGE = 4096n;
/** Guest memory ends here; above 128M a KVM of today has the frames that the host gives later. */
const END_OF_MEMORY = 1n << 28n;
const END_TODAY = 1n << 27n;
/** Address in the process of what the guest calls 0, unless a slot says otherwise. */
const FIRST_HVA = 0x7f00_0000n;

/** The slot that a line says; nothing where it says something that cannot be. */
export function slotOf(
  statement: SlotStatement,
  by: { settings: Settings; report: Report },
): Slot | undefined {
  const { gpa, bytes, line, hva } = statement;
  const { settings, report } = by;
  const end = isToday(settings) ? END_TODAY : END_OF_MEMORY;
  if (gpa % PAGE !== 0n || bytes % PAGE !== 0n || bytes === 0n) {
    report(
      { line },
      {
        message: 'A slot is made of whole pages of 4096 bytes',
        remedy: 'Write for example: slot 0x0 64M.',
      },
    );
    return undefined;
  }
  if (gpa + bytes > end) {
    const size = isToday(settings) ? '128M' : '256M';
    report(
      { line },
      { message: `Guest memory ends at ${size} on this machine`, remedy: 'Make the slot smaller.' },
    );
    return undefined;
  }
  const traits = traitsOf(statement);
  if (Object.keys(traits).length > 0 && !isToday(settings)) {
    report({ line }, traits.smm === undefined ? noHostMemory(settings) : noSmm(settings));
    return undefined;
  }
  if (hva !== undefined && (hva % PAGE !== 0n || hva < FIRST_HVA || hva + bytes > FIRST_HVA + END_TODAY)) {
    report(
      { line },
      {
        message: 'The memory of the process lies from 0x7f000000 to 0x87000000, in whole pages',
        remedy: `Write for example: hva=0x${(FIRST_HVA + gpa).toString(16)}.`,
      },
    );
    return undefined;
  }
  return { firstGfn: gfn(Number(gpa / PAGE)), frames: Number(bytes / PAGE), ...traits };
}

function traitsOf({ readonly, large, absent, smm, hva }: SlotStatement): Partial<Slot> {
  return {
    ...(readonly === undefined ? {} : { readonly }),
    ...(large === undefined ? {} : { large }),
    ...(absent === undefined ? {} : { absent }),
    ...(smm === undefined ? {} : { smm }),
    ...(hva === undefined ? {} : { hva: Number(hva / PAGE) }),
  };
}

/** Plans what happens to slots. It knows which there are where a line stands, as user space does. */
export class SlotPlanner {
  private readonly ground: Ground;
  private readonly slots: readonly SlotStatement[];
  private readonly there = new Set<number>();

  constructor(ground: Ground, statements: readonly Statement[]) {
    this.ground = ground;
    this.slots = statements.filter((statement) => statement.kind === 'slot');
    this.slots.forEach(({ absent }, number) => {
      if (absent !== true) this.there.add(number);
    });
  }

  /** Whether the text has the slot. */
  exists(slot: number, line: Line): boolean {
    const { length } = this.slots;
    if (slot < length) return true;
    const last = String(Math.max(0, length - 1));
    this.ground.report(
      { line },
      {
        message: `There is no slot ${String(slot)}: the text has ${String(length)}, counted from 0`,
        remedy: length < 2 ? 'Write slot=0.' : `Write a number from 0 to ${last}.`,
      },
    );
    return false;
  }

  change({ slot, does }: SlotChange, line: Line): Operation | undefined {
    if (!this.exists(slot, line)) return undefined;
    const adds = does === 'add';
    if (this.there.has(slot) === adds) {
      const number = String(slot);
      this.ground.report(
        { line },
        adds
          ? {
              message: `Slot ${number} is there already`,
              remedy: `Write absent behind its slot line, or delete it first: host delete-slot slot=${number}.`,
            }
          : {
              message: `Slot ${number} is not there`,
              remedy: `Add it first: host add-slot slot=${number}.`,
            },
      );
      return undefined;
    }
    if (!adds) {
      this.there.delete(slot);
      return { kind: 'slot', vcpu: vcpuId(0), slot };
    }
    this.there.add(slot);
    const statement = this.slots[slot];
    const added =
      statement === undefined
        ? undefined
        : slotOf(statement, { settings: this.ground.settings, report: () => undefined });
    return added === undefined ? undefined : { kind: 'slot', vcpu: vcpuId(0), slot, adds: added };
  }

  /** Which pages of the process stand behind guest addresses. A slot that was deleted has its memory still. */
  memory({ does, gpa, pages }: HostMemory, line: Line): Operation | undefined {
    const hva = this.hvaOf({ gpa, pages });
    if (hva === undefined) {
      this.ground.report(
        { line },
        {
          message: `No slot has memory for all of these ${String(pages)} pages`,
          remedy: 'Use guest addresses within one slot.',
        },
      );
      return undefined;
    }
    return { kind: 'host-memory', vcpu: vcpuId(0), does, hva: Number(hva / PAGE), pages };
  }

  private hvaOf({ gpa, pages }: GuestRange): bigint | undefined {
    const found = this.slots.find(
      (slot) => gpa >= slot.gpa && gpa + BigInt(pages) * PAGE <= slot.gpa + slot.bytes,
    );
    return found === undefined ? undefined : (found.hva ?? FIRST_HVA + found.gpa) + gpa - found.gpa;
  }
}
