/**
 * The syntax tree of a scenario: lines of tokens with their places, and the statements that they make. Lines keep
 * everything that a person wrote, comments included, so that printing gives the text back.
 */
import type { PreemptionPoint } from '../core/machine/preemption.ts';
import type { SettingName } from '../core/settings.ts';
import type { EntryFlags } from '../core/hardware/encode.ts';
import type { InvalidationName } from '../core/hardware/invalidations.ts';
import type { OutsideRegister } from '../core/hardware/outside-registers.ts';
import type {
  AccessKind,
  ControlRegister,
  ExtraRegister,
  HostEntryChange,
  HostMemoryChange,
  Privilege,
} from '../core/operations/operation.ts';

/** Half-open range of character offsets. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

export interface Problem {
  /** From 1; 0 for what has no place in the text, such as a setting of a link. */
  readonly line: number;
  /** From 1, in characters. */
  readonly column: number;
  readonly span: Span;
  /** What was found and what was expected, one sentence. */
  readonly message: string;
  /** What to do about it, one sentence. */
  readonly remedy: string;
  /** Text that would mend it in place of `span`, where that is certain. */
  readonly fix?: string;
}

export type TokenKind = 'word' | 'number' | 'text' | 'equals' | 'arrow';

export interface Token extends Span {
  readonly kind: TokenKind;
  readonly text: string;
  /** Directly after the token before, without a blank. */
  readonly glued: boolean;
}

export interface Line extends Span {
  /** From 1. */
  readonly number: number;
  /** Blanks before the first token. */
  readonly indent: number;
  readonly tokens: readonly Token[];
  readonly comment?: string;
}

/** The name of a choice that the text itself offers: it begins with a capital letter, as no setting does. */
export type OwnName = Capitalize<string>;

/** What a text lets its reader choose, `choice Path=fault,cr3 "What it decides."`; the first value is the text's own. */
export interface OwnChoice {
  readonly name: OwnName;
  readonly values: readonly [string, ...string[]];
  readonly meaning: string;
}

/** Any subset of settings and of the text's own choices, as in `policy`, `try` and links. */
export type SettingChoices = Readonly<Partial<Record<SettingName, string>> & Record<OwnName, string>>;

/** One pair behind `when`: the setting, or the choice, has one of these values, or, negated, none of them. */
export interface SettingTest {
  readonly name: SettingName | OwnName;
  readonly values: readonly string[];
  readonly negated: boolean;
}

/** What an entry shall name. */
export type MapTarget =
  | { readonly kind: 'absent' }
  | { readonly kind: 'gfn'; readonly gfn: number }
  /** The frame of the table of `level` that serves `gva` in `space`. */
  | { readonly kind: 'table-of'; readonly gva: bigint; readonly level?: number; readonly space: string }
  /** The child table that map lines made below the entry. */
  | { readonly kind: 'table' };

export interface EntryChange {
  readonly gva: bigint;
  /** Level of the entry that is meant, as the guest's format counts; the last one where the text says none. */
  readonly level?: number;
  readonly target: MapTarget;
  readonly flags: EntryFlags;
  /** Tables that are made for the entry are not marked accessed yet. */
  readonly fresh?: true;
}

export type Expectation =
  | { readonly kind: 'counters'; readonly counters: readonly CounterClaim[] }
  | { readonly kind: 'violation'; readonly rule: string }
  | { readonly kind: 'no-violation' }
  | { readonly kind: 'harm'; readonly harm: string }
  | { readonly kind: 'no-harm' }
  /** What the last read before this line got. */
  | { readonly kind: 'read'; readonly value: bigint }
  /** The last fault that the last access gave to the guest, or to the hypervisor; of any code, or of that one. */
  | { readonly kind: 'fault' | 'host-fault'; readonly code?: bigint }
  | { readonly kind: 'no-fault' | 'no-host-fault' }
  /** Frames that the last fetch of a dirty log gave, all of them, in any order. */
  | { readonly kind: 'dirty'; readonly frames: readonly bigint[] }
  /** The host physical address that the last access reached. */
  | { readonly kind: 'physical'; readonly address: bigint };

/** A call by its name; the n-th of that name in the operation, or any. */
export interface CallPlace {
  readonly call: string;
  readonly occurrence?: number;
}

export interface CounterClaim {
  readonly name: string;
  readonly vcpu?: number;
  readonly value: number;
}

export type GuestAction =
  | {
      readonly kind: 'access';
      readonly access: AccessKind;
      readonly gva: bigint;
      readonly bytes: 1 | 2 | 4 | 8;
      readonly value: bigint;
    }
  | { readonly kind: 'set-pte'; readonly change: EntryChange }
  | LoadRoot
  | {
      readonly kind: 'set';
      readonly register: ControlRegister | ExtraRegister | 'cr3';
      /** The bits that change, and what they become. */
      readonly mask: bigint;
      readonly value: bigint;
    }
  | { readonly kind: 'cpuid' | 'smi' | 'rsm' }
  | { readonly kind: 'leave'; readonly how: 'halt' | 'user-space' }
  | { readonly kind: 'enter' }
  | { readonly kind: 'flush-all' }
  | DirtyLog
  | HostMemory
  | SlotChange
  | Invalidate
  | {
      readonly kind: 'set-host-entry';
      readonly gpa: bigint;
      readonly level?: number;
      readonly change: HostEntryChange;
    }
  | { readonly kind: 'flip'; readonly target: FlipTarget; readonly bit: number };

/** User space begins, ends or fetches the dirty log of a slot. */
export interface DirtyLog {
  readonly kind: 'log';
  readonly slot: number;
  readonly does: 'begin' | 'end' | 'fetch' | 'clear';
  /** `clear`: the guest pages that user space has dealt with; without them, the whole slot. */
  readonly range?: GuestRange;
}

export interface GuestRange {
  readonly gpa: bigint;
  readonly pages: number;
}

/** The host changes pages of the process that runs the guest. */
export interface HostMemory extends GuestRange {
  readonly kind: 'host-memory';
  readonly does: HostMemoryChange;
}

/** User space adds or deletes a memory slot. */
export interface SlotChange {
  readonly kind: 'slot';
  readonly slot: number;
  readonly does: 'add' | 'delete';
}

/** What a `slot` line says beside where the memory is. */
export interface SlotTraits {
  readonly readonly?: true;
  readonly large?: true;
  readonly absent?: true;
  readonly smm?: true;
  /** Address of its memory in the process. */
  readonly hva?: bigint;
}

/** The two words for the root of an address space, of x86 and of arm64. */
export interface LoadRoot {
  readonly kind: 'load-root';
  readonly word: 'load-cr3' | 'load-ttbr0';
  readonly root: { readonly space: string } | { readonly gfn: number };
  /** PCID or ASID, where the text names one. */
  readonly tag?: number;
  readonly keep?: true;
}

/** An instruction that invalidates cached translations. */
export interface Invalidate {
  readonly kind: 'invalidate';
  readonly name: InvalidationName;
  readonly address: bigint;
  readonly tag: number;
}

/** Memory, or a register, that something outside the guest and its hypervisor changes. */
export type FlipTarget =
  | { readonly kind: 'guest'; readonly gpa: bigint }
  /** The shadow entry of `level` that serves an address now. */
  | { readonly kind: 'shadow'; readonly gva: bigint; readonly level: number }
  /** The entry of the second stage that serves a guest physical address. */
  | { readonly kind: 'host'; readonly gpa: bigint; readonly level?: number }
  | { readonly kind: 'register'; readonly register: OutsideRegister };

export interface OperationStatement {
  readonly vcpu: number;
  readonly privilege: Privilege;
  readonly action: GuestAction;
  /** Without its condition. */
  readonly line: Line;
  /** From 1 in its section, whether or not the operations above are left out; only of lines that are not indented. */
  readonly number?: number;
  readonly when?: readonly SettingTest[];
  readonly handler?: HandlerBlock;
  /** What other vCPUs do in the middle of it. */
  readonly meanwhile?: readonly MeanwhileStatement[];
}

/** `at rmap_write_protect/before-flush: v1 kernel write ...`; `#2` for the second time that the point is reached. */
export interface MeanwhileStatement {
  readonly point: PreemptionPoint;
  readonly visit: number;
  readonly operation: OperationStatement;
}

/** The last line that belongs to an operation: of its handler, or of what other vCPUs do in the middle of it. */
export const lastLineOf = ({ line, handler, meanwhile = [] }: OperationStatement): number =>
  Math.max(line.number, handler?.lastLine ?? 0, ...meanwhile.map(({ operation }) => operation.line.number));

export interface HandlerBlock {
  readonly operations: readonly OperationStatement[];
  readonly then: 'retry' | 'skip';
  readonly lastLine: number;
}

export interface SlotStatement extends SlotTraits {
  readonly kind: 'slot';
  readonly gpa: bigint;
  readonly bytes: bigint;
  readonly line: Line;
}

export type Statement =
  | { readonly kind: 'title'; readonly text: string; readonly line: Line }
  | { readonly kind: 'about'; readonly text: string; readonly line: Line }
  | { readonly kind: 'minutes'; readonly minutes: number; readonly line: Line }
  | { readonly kind: 'settings'; readonly choices: SettingChoices; readonly line: Line }
  | SlotStatement
  | { readonly kind: 'generation'; readonly generation: number; readonly line: Line }
  | { readonly kind: 'space'; readonly name: string; readonly kernelOf?: string; readonly line: Line }
  | { readonly kind: 'choice'; readonly choice: OwnChoice; readonly line: Line }
  | {
      readonly kind: 'map';
      readonly change: EntryChange;
      readonly when: readonly SettingTest[];
      readonly line: Line;
    }
  | {
      readonly kind: 'entry';
      readonly gpa: bigint;
      readonly bytes: 4 | 8;
      readonly value: bigint;
      readonly when: readonly SettingTest[];
      readonly line: Line;
    }
  | { readonly kind: 'given' | 'begin'; readonly line: Line }
  | { readonly kind: 'operation'; readonly operation: OperationStatement; readonly line: Line }
  | {
      readonly kind: 'note';
      readonly text: string;
      readonly at?: CallPlace;
      readonly when: readonly SettingTest[];
      readonly line: Line;
    }
  | {
      readonly kind: 'expect';
      readonly expectation: Expectation;
      readonly when: readonly SettingTest[];
      readonly line: Line;
    }
  | { readonly kind: 'try'; readonly label: string; readonly choices: SettingChoices; readonly line: Line };
