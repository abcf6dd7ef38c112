/** Something cached, looked into: what it translates, with which rights, and which entries it came from. */
import type { PscEntry, TlbEntry, WordKey } from '../core/machine/tables.ts';
import type { World } from '../core/machine/world.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { addressText, hexText, type Inspected, type Names } from './inspected.ts';

interface Naming {
  readonly names: Names;
  /** What the word is an entry of: `PT entry [022], frame 13`. */
  readonly entryName: (word: WordKey) => string | undefined;
  readonly frame: (pfn: number) => string;
  /** What the processor calls the number of a virtual machine, and of an address space in it. */
  readonly tags?: readonly [machine: string, space: string];
}

type Fact = NonNullable<Inspected['facts']>[number];

export function inspectCached(timeline: Timeline, row: string, naming: Naming): Inspected | undefined {
  const [table, ...key] = row.split(':');
  const { world } = timeline;
  if (table === 'psc') {
    const entry = world.get('psc', key.join(':'));
    return entry === undefined ? undefined : inspectTable(world, entry, naming);
  }
  const entry = world.get('tlb', key.join(':'));
  return entry === undefined ? undefined : inspectTranslation(world, entry, naming);
}

const KINDS: Readonly<Record<TlbEntry['kind'], string>> = {
  linear: 'an address, from one dimension of tables',
  combined: "an address, from the guest's tables and the host's together",
  'guest-physical': "a guest physical address, from the host's tables alone",
};

const listed = (rights: readonly (readonly [string, boolean])[]): string => {
  const granted = rights.flatMap(([name, has]) => (has ? [name] : []));
  return granted.length === 0 ? 'nothing' : granted.join(', ');
};

function inspectTranslation(world: World, entry: TlbEntry, naming: Naming): Inspected {
  const address = BigInt.asUintN(64, BigInt(entry.vpn) << 12n);
  const gpa = entry.kind === 'guest-physical';
  const from = gpa ? hexText(address) : addressText(address, naming.names);
  const { host } = entry;
  const rights = [
    ['read', entry.readable],
    ['write', entry.writable],
    ['fetch', entry.executable],
    ...(gpa ? [] : [['user mode', entry.user] as const]),
  ] as const;
  const facts: Fact[] = [
    { name: 'translates', text: KINDS[entry.kind] },
    { name: 'covers', text: `${String(2 ** (entry.pageBits - 10))} KiB from ${hexText(address)}` },
    { name: gpa ? 'host grants' : 'tables grant', text: listed(rights) },
    ...(host === undefined
      ? []
      : [
          {
            name: 'host grants',
            text: listed([
              ['read', host.read],
              ['write', host.write],
              ['fetch', host.execute],
            ]),
          },
        ]),
    {
      name: 'marked',
      text: entry.dirty ? 'dirty: a write needs no walk' : 'not dirty: the first write walks again',
    },
    ...(entry.global ? [{ name: 'global', text: 'for every address space' }] : []),
    ...tagFacts(entry, naming),
    ...origins(world, entry, naming),
  ];
  const actions = gpa
    ? []
    : [
        { label: 'Read', text: `v0 ${entry.user ? 'user' : 'kernel'} read ${from}` },
        { label: 'Write', text: `v0 ${entry.user ? 'user' : 'kernel'} write ${from} = 1` },
      ];
  return {
    title: `TLB entry ${String(entry.serial)}`,
    about: `${from} → ${naming.frame(entry.pfn)}`,
    value: 0n,
    bits: [],
    actions,
    authors: [],
    facts,
  };
}

function inspectTable(world: World, entry: PscEntry, naming: Naming): Inspected {
  const first = BigInt.asUintN(64, entry.prefix << BigInt(entry.shift));
  const facts: Fact[] = [
    {
      name: 'serves',
      text: `${entry.stage === 'guest' ? 'addresses' : 'guest physical addresses'} from ${hexText(first)}`,
    },
    { name: 'spares', text: `${String(entry.depth)} level${entry.depth === 1 ? '' : 's'} of the walk` },
    ...tagFacts(entry, naming),
    ...origins(world, entry, naming),
  ];
  return {
    title: `Table cache entry ${String(entry.serial)}`,
    about: `${hexText(first)}… → ${naming.frame(Number(entry.place >> 12n))}`,
    value: 0n,
    bits: [],
    actions: [],
    authors: [],
    facts,
  };
}

function tagFacts(
  entry: Pick<TlbEntry, 'asid' | 'pcid'>,
  { tags = ['ASID', 'PCID'] }: Naming,
): readonly Fact[] {
  return [
    ...(entry.asid === 0 ? [] : [{ name: tags[0], text: String(entry.asid) }]),
    ...(entry.pcid === 0 ? [] : [{ name: tags[1], text: String(entry.pcid) }]),
  ];
}

/** The entries that a walk read for it, in its order, and whether each still holds what it did. */
function origins(
  world: World,
  { filledFrom, filledValues }: Pick<TlbEntry, 'filledFrom' | 'filledValues'>,
  { entryName }: Naming,
): readonly Fact[] {
  return filledFrom.map((word, index) => {
    const then = filledValues[index] ?? 0n;
    const now = world.word(word);
    return {
      name: `entry ${String(index + 1)}`,
      text: `${entryName(word) ?? 'memory'}: ${hexText(then)}${now === then ? '' : `, now ${hexText(now)}`}`,
    };
  });
}
