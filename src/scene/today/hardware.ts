/** What the boxes of vCPUs say of a KVM of today: roots, remembered roots, requests, the last access to a device. */
import { pagingModeOf } from '../../core/hardware/registers.ts';
import type { CachedRoot } from '../../core/machine/tables-today.ts';
import type { World } from '../../core/machine/world.ts';
import { asidOf } from '../../core/kvm-shadow/flush.ts';
import { pageOfFrame } from '../../core/kvm-shadow/page.ts';
import { MODE_WORDS, type HardwareWords } from '../hardware-boxes.ts';
import { hex, type Context, type SceneRow } from '../parts.ts';
import { gfnBackedBy, isGone } from './world.ts';

/** What a vCPU is asked to do before it runs the guest, short; the kernel's names stand in the details. */
const REQUESTS: Readonly<Record<string, string>> = {
  MMU_FREE_OBSOLETE_ROOTS: 'free roots',
  MMU_SYNC: 'sync',
  LOAD_MMU_PGD: 'root',
  TLB_FLUSH: 'flush',
  TLB_FLUSH_CURRENT: 'flush root',
  TLB_FLUSH_GUEST: 'flush guest',
};

export const HARDWARE_WORDS: HardwareWords = {
  mode: ({ world }, vcpu) => {
    const reg = (name: string): bigint => world.get('reg', `${String(vcpu)}.${name}`) ?? 0n;
    return MODE_WORDS[pagingModeOf({ cr0: reg('cr0'), cr4: reg('cr4'), efer: reg('efer') })] ?? '';
  },
  root: ({ world }, vcpu) => {
    const root = world.get('mmu', vcpu)?.root;
    if (root?.hpa === undefined) return ' → no root';
    const page = pageOfFrame(world, root.hpa);
    return page === undefined ? ' → pae_root' : ` → sp ${String(page.serial)}`;
  },
  owed: ({ world }, vcpu) => {
    const requests = world.get('request', vcpu) ?? [];
    return requests.length === 0
      ? undefined
      : `asked: ${requests.map((name) => REQUESTS[name] ?? name).join(', ')}`;
  },
  row: (context, { row, vcpu }) => (row === 'device' ? deviceRow(context, vcpu) : rootsRow(context, vcpu)),
  tag: (_context, vcpu) => asidOf({ vcpu }),
  tagName: ({ settings }) => (settings.cpu === 'svm' ? 'ASID' : 'VPID'),
  gfnOf: ({ world }, pfn) => gfnBackedBy(world, pfn),
};

/** `sp 12`; `sp 12!` where it may not be used again; `–` for none. */
function rootName(world: World, { hpa }: CachedRoot): string {
  if (hpa === undefined) return '–';
  const page = pageOfFrame(world, hpa);
  if (page === undefined) return 'pae';
  return `sp ${String(page.serial)}${isGone(world, page) ? '!' : ''}`;
}

/** The same in a sentence. */
export function rootText(world: World, root: CachedRoot): string {
  if (root.hpa === undefined) return 'none';
  const page = pageOfFrame(world, root.hpa);
  const name = page === undefined ? 'the four PAE entries' : `sp ${String(page.serial)}`;
  const gone = page !== undefined && isGone(world, page) ? ', given up: it may not be used again' : '';
  return `${name}, for CR3 0x${hex(root.pgd ?? 0n)}${gone}`;
}

/** The three roots that the vCPU used before and remembers. */
function rootsRow({ world, changes }: Context, vcpu: number): SceneRow {
  const key = `mmu:${String(vcpu)}`;
  const now = world.get('mmu', vcpu);
  const was = (changes.get(key)?.before as typeof now) ?? now;
  const names = (of: typeof now): string =>
    (of?.prevRoots ?? []).map((root) => rootName(world, root)).join(' ');
  return {
    id: `roots:${String(vcpu)}`,
    index: 'before',
    text: names(now),
    title: [
      'Roots that the vCPU used before and remembers. A CR3 load to one of them needs no new root.',
      ...(now?.prevRoots ?? []).map((root, at) => `${String(at + 1)}: ${rootText(world, root)}`),
    ].join('\n'),
    flags: [],
    state: names(now) === names(was) ? 'quiet' : 'changed',
  };
}

/** What the vCPU remembers of its last access to a device. */
function deviceRow({ world, changes }: Context, vcpu: number): SceneRow {
  const known = world.get('mmio', vcpu);
  const generation = world.get('vm', 'kvm')?.generation;
  const row = { id: `mmio:${String(vcpu)}`, index: 'MMIO', flags: [] } as const;
  const state = changes.has(`mmio:${String(vcpu)}`) ? 'changed' : 'quiet';
  if (known === undefined || (known.gva === 0n && known.gfn === 0))
    return { ...row, state, text: 'nothing', title: 'The vCPU remembers no device access.' };
  const numbered = generation !== undefined;
  const old = numbered && known.generation !== generation;
  return {
    ...row,
    state,
    text: `${hex(known.gfn)}${numbered ? ` g${String(known.generation)}` : ''}${old ? ' old' : known.gva === 0n ? ' by gfn' : ''}`,
    title: [
      'The last access to a device: the next one to the same page needs no walk.',
      known.gva === 0n ? 'The address is forgotten, the frame is not.' : `Address 0x${hex(known.gva)}.`,
      `Guest frame 0x${hex(known.gfn)}${numbered ? `, memslot generation ${String(known.generation)}` : ''}${old ? ': the slots have changed since, so it no longer counts' : ''}.`,
    ].join('\n'),
  };
}
