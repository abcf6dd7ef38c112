/** From what a line says that happens to an operation of the program. */
import { gfn, gva, vcpuId, type VcpuId } from '../core/quantities.ts';
import type { AccessOperation, Operation, PlannedOperation } from '../core/operations/operation.ts';
import {
  lastLineOf,
  type DirtyLog,
  type EntryChange,
  type GuestAction,
  type Invalidate,
  type Line,
  type LoadRoot,
  type OperationStatement,
  type Statement,
} from './ast.ts';
import {
  checkAddress,
  checkNameable,
  exampleWindow,
  flipOfHost,
  hostEntryOperation,
  levelOfChange,
  opensWindow,
  valueOfChange,
  type Ground,
} from './entries.ts';
import { meets, type Chosen } from './conditions.ts';
import { MAIN_SPACE } from './guest-tables.ts';
import { missingOn } from './machine-words.ts';
import { SlotPlanner } from './slots.ts';

/** Levels of shadow tables: they always have four. */
const SHADOW_LEVELS = 4;

export class OperationPlanner {
  private readonly ground: Ground;
  private readonly statements: readonly Statement[];
  /** Slots with a dirty log, where the next line stands. */
  private readonly logged = new Set<number>();
  private readonly slots: SlotPlanner;

  private readonly chosen: Chosen;

  constructor(ground: Ground, statements: readonly Statement[], chosen: Chosen) {
    this.ground = ground;
    this.statements = statements;
    this.slots = new SlotPlanner(ground, statements);
    this.chosen = chosen;
  }

  /** Undefined where it is for other runs, or cannot be. */
  planned(statement: OperationStatement): PlannedOperation | undefined {
    const { line, number, when = [], meanwhile = [] } = statement;
    if (!meets(when, this.chosen) || !this.exists(statement)) return undefined;
    const operation = this.operationOf(statement);
    const others = meanwhile.flatMap(({ point, visit, operation: own }) => {
      const planned = this.planned(own);
      return planned === undefined ? [] : [{ point, visit, operations: [planned] }];
    });
    if (operation === undefined) return undefined;
    const text = line.tokens
      .map((token, index) => (index === 0 || token.glued ? '' : ' ') + token.text)
      .join('');
    return {
      operation,
      text,
      line: line.number,
      lastLine: lastLineOf(statement),
      ...(number === undefined ? {} : { number }),
      ...(others.length === 0 ? {} : { meanwhile: others }),
    };
  }

  /** Whether the machine has the vCPU that is to act. */
  private exists({ vcpu, line }: OperationStatement): boolean {
    const { vcpus } = this.ground.settings;
    if (vcpu < Number(vcpus)) return true;
    const has = vcpus === '1' ? 'one vCPU' : `${vcpus} vCPUs`;
    const span = line.tokens.find(({ text }) => text === `v${String(vcpu)}`);
    this.ground.report(
      { line, span },
      {
        message: `v${String(vcpu)} does not exist: the machine has ${has}`,
        remedy: `Write v0, or: machine kvm-2007 era=2007c vcpus=${String(vcpu + 1)}.`,
      },
    );
    return false;
  }

  private operationOf(statement: OperationStatement): Operation | undefined {
    const vcpu = vcpuId(statement.vcpu);
    const { action, line } = statement;
    const missing = missingOn(action, this.ground.settings);
    if (missing !== undefined) {
      this.ground.report({ line }, missing);
      return undefined;
    }
    switch (action.kind) {
      case 'access':
      case 'set-pte':
        return this.access(statement, action);
      case 'invalidate':
        return this.invalidation(action, vcpu, line);
      case 'load-root':
        return this.loadRoot(action, vcpu, line);
      case 'set': {
        const { register, mask, value } = action;
        return { kind: 'set-register', vcpu, register, mask, value };
      }
      case 'cpuid':
      case 'smi':
      case 'rsm':
      case 'enter':
      case 'flush-all':
        return { kind: action.kind, vcpu };
      case 'leave':
        return { kind: 'leave', vcpu, how: action.how };
      case 'set-host-entry':
        return hostEntryOperation(this.ground, action, line);
      case 'log':
        return this.log(action, line);
      case 'host-memory':
        return this.slots.memory(action, line);
      case 'slot':
        return this.slots.change(action, line);
      case 'flip':
        return this.flip(action, line);
    }
  }

  private access(
    { vcpu, privilege, line, handler }: OperationStatement,
    action: Extract<GuestAction, { kind: 'access' | 'set-pte' }>,
  ): Operation | undefined {
    const onFault =
      handler === undefined
        ? {}
        : {
            onFault: {
              operations: handler.operations.flatMap((own) => this.planned(own) ?? []),
              then: handler.then,
            },
          };
    const does =
      action.kind === 'access' ? this.plainAccess(action, line) : this.entryStore(action.change, line);
    return does === undefined
      ? undefined
      : { kind: 'access', vcpu: vcpuId(vcpu), privilege, ...does, ...onFault };
  }

  private plainAccess(
    { access, gva: address, bytes, value }: Extract<GuestAction, { kind: 'access' }>,
    line: Line,
  ): Pick<AccessOperation, 'access' | 'gva' | 'bytes' | 'value'> | undefined {
    if (!checkNameable(this.ground, address, line)) return undefined;
    return { access, gva: gva(address), bytes, value };
  }

  private invalidation({ name, address, tag }: Invalidate, vcpu: VcpuId, line: Line): Operation | undefined {
    if (name !== 'tlbi-ipas2e1is' && !checkNameable(this.ground, address, line)) return undefined;
    return name === 'invlpg'
      ? { kind: 'invlpg', vcpu, gva: gva(address) }
      : { kind: 'invalidate', vcpu, name, address, tag };
  }

  private loadRoot({ root, tag, keep }: LoadRoot, vcpu: VcpuId, line: Line): Operation | undefined {
    const more = { ...(tag === undefined ? {} : { pcid: tag }), ...(keep === undefined ? {} : { keep }) };
    if ('gfn' in root) return { kind: 'load-cr3', vcpu, root: gfn(root.gfn), ...more };
    const table = this.ground.tables.knownRoot(root.space);
    if (table !== undefined) return { kind: 'load-cr3', vcpu, root: table.gfn, ...more };
    this.ground.report(
      { line },
      {
        message: `There is no address space ${root.space}`,
        remedy: `Add the line: space ${root.space} kernel=main.`,
      },
    );
    return undefined;
  }

  /** Which slots are logged where the line stands, and which there are: user space knows both. */
  private log({ slot, does, range }: DirtyLog, line: Line): Operation | undefined {
    if (!this.slots.exists(slot, line)) return undefined;
    if (does !== 'begin' && !this.logged.has(slot)) {
      this.ground.report(
        { line },
        {
          message: `Slot ${String(slot)} is not logged here`,
          remedy: `Add the line above: host log slot=${String(slot)} on.`,
        },
      );
      return undefined;
    }
    if (does === 'begin') this.logged.add(slot);
    if (does === 'end') this.logged.delete(slot);
    const frames =
      range === undefined ? {} : { frames: { first: gfn(Number(range.gpa >> 12n)), count: range.pages } };
    return { kind: 'log', vcpu: vcpuId(0), slot, does, ...frames };
  }

  private flip({ target, bit }: Extract<GuestAction, { kind: 'flip' }>, line: Line): Operation | undefined {
    const vcpu = vcpuId(0);
    if (target.kind === 'host')
      return flipOfHost(this.ground, { gpa: target.gpa, level: target.level, bit }, line);
    if (target.kind === 'register')
      return { kind: 'flip', vcpu, bit, place: 'register', register: target.register };
    if (target.kind === 'guest') {
      const index = Number((target.gpa & 0xfffn) >> 3n);
      return { kind: 'flip', vcpu, bit, place: 'guest', gfn: gfn(Number(target.gpa >> 12n)), index };
    }
    if (target.level < 1 || target.level > SHADOW_LEVELS) {
      this.ground.report(
        { line },
        {
          message: `the level is ${String(target.level)}`,
          remedy: `Write a number from 1 to ${String(SHADOW_LEVELS)}.`,
        },
      );
      return undefined;
    }
    if (!checkAddress(this.ground, target.gva, line)) return undefined;
    return { kind: 'flip', vcpu, bit, place: 'shadow', gva: gva(target.gva), level: target.level };
  }

  /** Where the kernel stores, and what, to change an entry: through its own mapping of the table. */
  private entryStore(
    change: EntryChange,
    line: Line,
  ): Pick<AccessOperation, 'access' | 'gva' | 'bytes' | 'value' | 'setsEntryOf'> | undefined {
    const { ground } = this;
    if (!checkAddress(ground, change.gva, line)) return undefined;
    const at = levelOfChange(ground, change, line);
    if (at === undefined) return undefined;
    const table = ground.tables.find({ space: MAIN_SPACE, level: at.level, gva: change.gva });
    const value = valueOfChange(ground, change, { line, space: MAIN_SPACE, at });
    if (table === undefined) {
      ground.report(
        { line },
        {
          message: 'No map line makes the table that holds this entry',
          remedy: `Add: map 0x${change.gva.toString(16)} -> absent.`,
        },
      );
      return undefined;
    }
    if (value === undefined) return undefined;
    const window = this.windowOnto(table.gfn);
    if (window === undefined) {
      this.noWindow(table.gfn, change, line);
      return undefined;
    }
    const entry = BigInt(ground.tables.place(table, change.gva) % 4096);
    return {
      access: 'write',
      gva: gva(window - (window % 4096n) + entry),
      bytes: ground.tables.entryBytes,
      value,
      setsEntryOf: gva(change.gva),
    };
  }

  /** Where the first line that maps a window onto a table puts it. */
  private windowOnto(frame: number): bigint | undefined {
    const found = this.statements.find(
      (statement) => statement.kind === 'map' && opensWindow(this.ground, statement.change, frame),
    );
    return found?.kind === 'map' ? found.change.gva : undefined;
  }

  private noWindow(frame: number, { gva: address, level }: EntryChange, line: Line): void {
    const { settings, report, tables } = this.ground;
    const named =
      level === undefined || level === tables.levels.at(-1)?.level ? '' : ` level=${String(level)}`;
    const window = exampleWindow(settings, frame);
    report(
      { line },
      {
        message: 'The kernel maps no window onto the table that holds this entry',
        remedy: `Add: map ${window} -> table-of 0x${address.toString(16)}${named} rw kernel accessed dirty.`,
      },
    );
  }
}
