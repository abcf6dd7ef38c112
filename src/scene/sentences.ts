/**
 * What a reader is told about each micro-step: one sentence for what happened, one for why. Made from a step's kind
 * and facts and from the world, in one place, ready to be translated. Plain English, no jargon unexplained.
 */
import { must } from '../core/assert.ts';
import { roleOf } from '../core/kvm/role-2007.ts';
import { partsOf } from '../core/kvm/behind-2007.ts';
import type { Settings } from '../core/settings.ts';
import { errorCodeWords } from '../core/hardware/fault.ts';
import { isOfToday, type StepKind } from '../core/machine/steps.ts';
import type { STEPS_TODAY } from '../core/machine/steps-today.ts';
import { OF_PROCESSOR } from './sentences-processor.ts';
import { at, frameName, hex, plural, table, type Sentence, type Teller, type Told } from './telling.ts';

const FLUSH_WORDS: Readonly<Record<string, string>> = {
  'write-protect': 'A mapping has just lost its write right.',
  cr3: 'A new root is about to be used.',
  zap: 'Shadow entries have gone.',
  shadowed: 'The frame is a shadowed table.',
  'dirty-log': 'Writes must be seen again from now on, so no old right to write may be left in the TLB.',
};

type RareKind = keyof typeof import('./sentences-rare.ts').OF_RARE_STEPS;

/** What a shadow page stands for, as its key says: `for guest frame 0x10, quarter 4 of 4 (q3)`. */
function standing(gfn: number, role: number): string {
  const own = roleOf(role);
  const of = partsOf(own);
  const part =
    of > 1
      ? `, ${of === 4 ? `quarter ${String(own.quadrant + 1)} of 4` : own.quadrant === 0 ? 'lower half' : 'upper half'} (q${String(own.quadrant)})`
      : '';
  if (!own.metaphysical) return `for the ${table(own.level)} in guest frame ${hex(gfn)}${part}`;
  return own.guestLevels === 0
    ? `for memory without paging from guest frame ${hex(gfn)} on${part}`
    : `that splits the large page at guest frame ${hex(gfn)}${part}`;
}

type TodaysKind = keyof typeof STEPS_TODAY;
type CommonKind = Exclude<StepKind, RareKind | TodaysKind>;

/** The compiler asks for a sentence of each step, here, among the rare ones or among those of today. */
const TELLERS: { readonly [K in CommonKind]: Teller<K> } = {
  ...OF_PROCESSOR,

  'setup-memory': ({ gfn }) => ({
    what: `Guest frame ${hex(gfn)} gets its contents.`,
    why: 'Set-up of the scenario.',
  }),
  'setup-slot': ({ gfn, frames }) => ({
    what: `The guest gets ${String(frames)} frames of memory, from ${hex(gfn)} on.`,
    why: 'A memory slot says which guest frames real memory backs.',
  }),
  'setup-vcpu': ({ root }) => ({
    what: `A virtual CPU starts, its CR3 naming guest frame ${hex(root)}.`,
    why: 'CR3 tells the processor where the root of the page tables lies.',
  }),
  begin: () => ({ what: 'Ready. Step to see what happens.', why: 'Counters and step numbers start here.' }),

  'guest-walk-root': ({ gfn }) => ({
    what: `The hypervisor begins at the guest's CR3: guest frame ${hex(gfn)}.`,
    why: "It walks the guest's own tables in software, to learn whose fault this is.",
  }),
  'guest-walk-read': ({ level, index, entry }) => ({
    what: `It reads the guest's ${at(level, index)}: ${entry === 0n ? 'empty' : hex(entry)}.`,
    why: 'This is what the guest itself believes its memory to be.',
  }),
  'guest-walk-refuse': ({ level, because }) => ({
    what: `The guest's own ${table(level)} entry refuses: ${because}.`,
    why: "So this fault is the guest's business, not the hypervisor's.",
  }),
  'guest-walk-done': ({ gfn }) => ({
    what: `The guest's tables allow it: the page is guest frame ${hex(gfn)}.`,
    why: 'So the guest did nothing wrong. The fault came from the shadow tables, and the hypervisor must settle it.',
  }),

  inject: ({ errorCode }) => ({
    what: `The hypervisor delivers the page fault to the guest: ${errorCodeWords(errorCode)}.`,
    why: 'CR2 gets the address, as the processor would have set it. The guest will never know.',
  }),
  'flood-reset': () => ({
    what: 'The count of table writes in a row is set to 0.',
    why: 'This fault was no write to a page table: the guest is not rewriting tables in bulk.',
  }),
  'flood-count': ({ gfn, count, flooded }) => ({
    what: `Write number ${String(count)} in a row into page table frame ${hex(gfn)}.`,
    why: flooded
      ? 'Three in a row look like a fork: from here on it is cheaper to give up the shadow of this table.'
      : 'Three in a row would look like a fork.',
  }),
  'hash-lookup': ({ gfn, role, found }) => ({
    what:
      found > 0
        ? `A shadow page ${standing(gfn, role)} exists: sp ${String(found)}.`
        : `There is no shadow page ${standing(gfn, role)} yet.`,
    why: 'Shadow pages are found in a hash, by guest frame and role.',
  }),
  'shadow-alloc': ({ serial, pfn }) => ({
    what: `A new, empty shadow page is taken: sp ${String(serial)}, in host frame ${hex(pfn)}.`,
    why: 'It will hold what the processor really walks.',
  }),
  'shadow-hash': ({ serial, gfn, role }) => ({
    what: `sp ${String(serial)} becomes the shadow page ${standing(gfn, role)}.`,
    why: roleOf(role).metaphysical
      ? 'No table of the guest lies there, so no frame has to be write-protected for it.'
      : 'From now on that frame counts as a page table, and no write to it may go unseen.',
  }),
  'parent-add': ({ serial }) => ({
    what: `sp ${String(serial)} notes which entry will point to it.`,
    why: 'If it is ever given up, that entry must be found and cleared.',
  }),
  'root-pin': ({ serial }) => ({
    what: `sp ${String(serial)} is now in use as a root.`,
    why: 'A root in use is never freed.',
  }),
  'rmap-look': ({ pfn, count }) => ({
    what: `The reverse map of ${frameName(pfn)} lists ${plural(count, 'writable mapping', 'writable mappings')}.`,
    why: 'The reverse map answers the question: which shadow entries let the guest write this frame?',
  }),
  'rmap-add': ({ pfn, count }) => ({
    what: `The reverse map of ${frameName(pfn)} notes this entry (${String(count)} in all).`,
    why: 'It is writable now. If the frame becomes a page table, it must be found again.',
  }),
  flush: ({ why, effect, needless }) => ({
    what: effect.startsWith('nothing')
      ? `The hypervisor asks for a TLB flush. It changes ${effect}.`
      : `The hypervisor asks for a TLB flush: ${effect}.`,
    why: `${FLUSH_WORDS[why] ?? ''}${needless ? ' It is needless: no entry of this TLB comes from what changes.' : ''}`,
  }),
  'fetch-look': ({ level, index, entry }) => ({
    what: `The hypervisor looks at shadow ${at(level, index)}: ${entry === 0n ? 'empty' : hex(entry)}.`,
    why:
      entry === 0n
        ? 'This part of the shadow path is missing and will be made.'
        : 'This part of the shadow path exists.',
  }),
  'spte-link': ({ level, serial }) => ({
    what: `The shadow ${table(level)} entry now links to sp ${String(serial)}.`,
    why: 'Links allow everything: rights are enforced in the last level only.',
  }),
  'spte-set': ({ gfn, writable, shadowed, guestDirty }) => ({
    what: `The shadow entry for guest frame ${hex(gfn)} is built, ${writable ? 'writable' : 'not writable'}.`,
    why: shadowed
      ? 'The frame is itself a page table, so the hardware right to write is held back; a software bit remembers that the guest allows it.'
      : guestDirty
        ? "It carries the rights that the guest's entry gives, and names the host frame."
        : "The guest's entry is not dirty yet: the first write has to fault, so that the mark can be set.",
  }),
  'spte-clear': ({ level, why }) => ({
    what: `The shadow ${table(level)} entry is cleared.`,
    why:
      why === 'guest write'
        ? 'The guest is changing the entry behind it, so it is no longer true.'
        : why === 'parent'
          ? 'The page that it points to is being given up.'
          : why === 'zap'
            ? 'The shadow page is being given up.'
            : "The guest's entry has gone.",
  }),
  'shadowed-check': ({ gfn, pages }) => ({
    what:
      pages > 0
        ? `Guest frame ${hex(gfn)} is a page table in use.`
        : `Guest frame ${hex(gfn)} is not in use as a page table.`,
    why:
      pages > 0
        ? 'So this store must not go through by itself: the hypervisor has to see it.'
        : 'So the write right can be given.',
  }),
  'guest-set-dirty': ({ gfn }) => ({
    what: `The guest's entry in frame ${hex(gfn)} is marked dirty.`,
    why: 'Real hardware would have done so on this write.',
  }),
  emulate: ({ value, gpa }) => ({
    what: `The hypervisor runs the store itself: ${hex(value)} to guest address ${hex(gpa)}.`,
    why: 'That is how it sees the new entry before it takes effect.',
  }),
  'guest-copy': ({ gfn, value }) => ({
    what: `The bytes reach guest memory: frame ${hex(gfn)} now holds ${hex(value)}.`,
    why: "In this era the shadow is settled first, then the guest's memory changes.",
  }),
};

let rare: { readonly [K in RareKind]: Teller<K> } | undefined;
let today: typeof import('./sentences-today.ts') | undefined;

const isCommon = (kind: StepKind): kind is CommonKind => kind in TELLERS;
const isTodays = (kind: StepKind): kind is TodaysKind => isOfToday(kind);

/** To be awaited before sentences about any of these steps are asked for; without steps, of all. */
export async function loadSentences(kinds?: Iterable<StepKind>): Promise<void> {
  const wanted = kinds === undefined ? undefined : [...kinds].filter((kind) => !isCommon(kind));
  if (wanted?.some(isTodays) ?? true) today ??= await import('./sentences-today.ts');
  if (wanted?.some((kind) => !isTodays(kind)) ?? true)
    rare ??= (await import('./sentences-rare.ts')).OF_RARE_STEPS;
}

function tellerOf(kind: StepKind, { machine }: Settings): unknown {
  const instead = machine === 'kvm-shadow' ? today?.INSTEAD_TODAY[kind] : undefined;
  if (instead !== undefined) return instead;
  if (isCommon(kind)) return TELLERS[kind];
  return isTodays(kind)
    ? must(today, 'sentences of today').OF_TODAYS_STEPS[kind]
    : must(rare, 'sentences that are loaded')[kind];
}

/** The sentences of a step of a run under these settings. */
export function sentenceOf(
  step: { readonly kind: StepKind; readonly facts: unknown },
  settings: Settings,
): Sentence {
  const tell = tellerOf(step.kind, settings) as (facts: unknown, told: Told) => Sentence;
  return tell(step.facts, { shadow: settings.machine.startsWith('kvm-'), arm: settings.cpu === 'arm64' });
}
