/**
 * Flushes of TLBs as KVM of 2006 and 2007 asks for them, and as it could: whose TLB, how much of it, before or after the
 * change; what each obliges whom to, and which of them nobody needed. What a flush does to a processor is in vendor.
 */
import { hasMistake } from '../flush-settings.ts';
import type { Machine } from '../machine/machine.ts';
import { emptyCr3Cache } from './cr3-cache.ts';
import { traitsOf } from './era-2007.ts';
import { addressesThrough } from './shadow-links.ts';
import {
  CUT_LINKS,
  derivesFrom,
  droppedByFlush,
  flushContext,
  flushPage,
  IPI_IN_FLIGHT,
  pageFlushName,
  usableEntries,
  vmExit,
} from './vendor.ts';

export type FlushReason = 'write-protect' | 'cr3' | 'zap' | 'shadowed' | 'dirty-log';

/** Entries of the shadow tables that have changed, or are about to. */
export interface Changed {
  readonly words: readonly number[];
  /** Where single addresses are flushed: those of this vCPU that use the entries, in pages of 4 KiB. */
  readonly addresses?: readonly bigint[];
}

const UNCHANGED: Changed = { words: [] };

/**
 * Whether addresses are found over the links that there are. Then a link must not be cut before what came over it has left
 * the TLB: a guest that does not invalidate goes on using it, and a change of a leaf below would not find its address.
 */
export const flushesByLinks = (m: Machine): boolean =>
  pageFlushName(m) !== undefined && m.settings['flush-size'] !== 'context';

/** To be asked while the entries still are what they were, and still hang where they hung. */
export function changedBy(m: Machine, words: readonly number[]): Changed {
  if (!flushesByLinks(m)) return { words };
  const perEntry = words.map((word) => addressesThrough(m, word));
  const onlyFirst = m.settings['flush-size'] === 'one-page';
  const addresses = perEntry.flatMap((all) => (onlyFirst ? all.slice(0, 1) : all));
  return { words, addresses: [...new Set(addresses)] };
}

/**
 * Whether a flush comes before the change that it is for: as a wrong policy of the era that flushes the TLBs of all vCPUs.
 * With one vCPU it is harmless: "flush" means "before the next entry".
 */
export const flushesFirst = (m: Machine): boolean =>
  traitsOf(m.settings).remoteFlush && m.settings['flush-when'] === 'before';

/** `tlb_flush`: arranges for a flush of this vCPU's TLB before its next entry, or drops the addresses that have changed. */
export function flushTlb(m: Machine, why: FlushReason, changed: Changed = UNCHANGED): void {
  const { words } = changed;
  const addresses = m.reg(CUT_LINKS) === 0n ? changed.addresses : undefined;
  const needless = why !== 'cr3' && isNeedless(m, m.vcpu, words);
  m.step('flush', {
    why,
    effect: effectOf(m, addresses),
    dropped: addresses === undefined ? droppedByFlush(m) : 0,
    needless,
  });
  if (why === 'write-protect') m.count('rmap_flush');
  if (why === 'cr3') m.count('tlb_flush');
  countFlush(m, needless);
  if (addresses === undefined) flushContext(m);
  else for (const gva of addresses) flushPage(m, gva);
  // A load of CR3 makes the cache's own entry: it alone does not empty it.
  if (why !== 'cr3') emptyCr3Cache(m);
}

/** Before links to tables are cut: drops what this vCPU has from below them. The others will drop all, when it comes to it. */
export function flushBelow(m: Machine, links: readonly number[]): void {
  if (!flushesByLinks(m) || links.length === 0) return;
  const changed = changedBy(m, links);
  if (changed.addresses !== undefined && changed.addresses.length > 0) flushTlb(m, 'zap', changed);
  const others = vcpusOf(m).filter((vcpu) => vcpu !== m.vcpu);
  if (others.length === 0) return;
  m.amendLastStep(() => {
    for (const vcpu of others) m.set('reg', `${String(vcpu)}.${CUT_LINKS}`, 1n);
  });
}

function effectOf(m: Machine, addresses: readonly bigint[] | undefined): string {
  const name = pageFlushName(m);
  if (name === undefined) return 'nothing: exit and entry empty the TLB';
  if (addresses !== undefined)
    return `${name} for ${addresses.length === 1 ? 'one address' : `${String(addresses.length)} addresses`}`;
  return name === 'INVLPGA' ? 'new ASID at the next entry' : 'INVVPID drops all that the vCPU has';
}

/** A flush is needless where no entry of the TLB comes from what has changed. */
function isNeedless(m: Machine, vcpu: number, words: readonly number[]): boolean {
  const owed = [...m.world.tables.owed.values()].filter((debt) => debt.vcpu === vcpu);
  const changed = [...words, ...owed.flatMap((debt) => [...debt.words])];
  return !usableEntries(m, vcpu).some((entry) => derivesFrom(entry, changed));
}

function countFlush(m: Machine, needless: boolean): void {
  m.count('flushes');
  if (needless) m.count('flushes_needless');
}

/**
 * The flush that write protection, zapping and the dirty log ask for: of this vCPU's TLB while there is only one, of
 * everybody's since there are several.
 */
export function flushEverybody(
  m: Machine,
  why: FlushReason,
  how: Changed & { readonly beforeFree?: true } = UNCHANGED,
): void {
  flushTlb(m, why, how);
  if (!traitsOf(m.settings).remoteFlush) return;
  if (m.settings['flush-reach'] === 'local') {
    if (m.world.tables.vcpu.size > 1) m.step('flush-left-out', { why: 'local' });
    return;
  }
  const others = vcpusOf(m).filter((vcpu) => vcpu !== m.vcpu);
  const waits = how.beforeFree !== true || !hasMistake(m, 'B-B1');
  if (others.length > 0) requestAll(m, others, { words: how.words, waits });
}

/** The same from a thread of the host, for which every vCPU is one of the others. */
export const flushFromHost = (m: Machine): void => {
  requestAll(m, vcpusOf(m), { waits: true });
};

const vcpusOf = (m: Machine): readonly number[] => [...m.world.tables.vcpu.keys()].sort((a, b) => a - b);

interface Ask {
  /** What has changed: absent where a thread of the host asks, whose reasons nobody knows. */
  readonly words?: readonly number[];
  /** Whether the sender waits until all have left the guest. */
  readonly waits: boolean;
}

/** `kvm_flush_remote_tlbs` of 2.6.24: a request for each other vCPU, one interrupt to those that run, and the wait. */
function requestAll(m: Machine, vcpus: readonly number[], ask: Ask): void {
  m.call('kvm_flush_remote_tlbs', {}, () => {
    m.step('remote-flush', { broadcast: false });
    const seen = hasMistake(m, 'B-B4') ? lookWhoRuns(m, vcpus) : undefined;
    m.preempt('kvm_flush_remote_tlbs/before-request');
    const asked = vcpus.filter((vcpu) => requestFlush(m, vcpu, { ask, seen }));
    m.preempt('kvm_flush_remote_tlbs/before-kick');
    const running = (seen ?? runningAmong(m, asked)).filter((vcpu) => asked.includes(vcpu));
    if (running.length === 0) return;
    m.step('ipi-send', { count: running.length });
    m.count('ipis', running.length);
    if (!ask.waits) {
      m.step('ipi-unwaited', { count: running.length });
      for (const vcpu of running) m.set('reg', `${String(vcpu)}.${IPI_IN_FLIGHT}`, 1n);
      return;
    }
    for (const vcpu of running) interrupt(m, vcpu);
    m.step('ipi-wait', { count: running.length });
  });
}

/** B-B4: who is seen outside the guest here will not be interrupted, wherever it is by the time it gets its request. */
function lookWhoRuns(m: Machine, vcpus: readonly number[]): readonly number[] {
  const running = runningAmong(m, vcpus);
  m.step('modes-look', { count: running.length });
  return running;
}

const runningAmong = (m: Machine, vcpus: readonly number[]): readonly number[] =>
  vcpus.filter((vcpu) => m.must('vcpu', vcpu).mode === 'guest');

/** Gives whether the vCPU has a new request. */
function requestFlush(
  m: Machine,
  vcpu: number,
  { ask, seen }: { ask: Ask; seen: readonly number[] | undefined },
): boolean {
  if (m.get('request', vcpu) !== undefined) return false;
  const needless = ask.words !== undefined && isNeedless(m, vcpu, ask.words);
  const kick = seen?.includes(vcpu) ?? m.must('vcpu', vcpu).mode === 'guest';
  m.step('request-set', { vcpu, request: 'TLB_FLUSH', kick, needless });
  m.set('request', vcpu, Object.freeze(['TLB_FLUSH']));
  asVcpu(m, vcpu, () => {
    countFlush(m, needless);
  });
  return true;
}

const interrupt = (m: Machine, vcpu: number): void => {
  asVcpu(m, vcpu, () => vmExit(m, { reason: 'IPI' }));
};

function asVcpu(m: Machine, vcpu: number, does: () => void): void {
  const sender = m.vcpu;
  m.vcpu = vcpu;
  does();
  m.vcpu = sender;
}

export interface Debt {
  readonly words: readonly number[];
  /** Id of the bug or broken policy by which the hypervisor will not flush. */
  readonly bug?: string;
}

/**
 * Notes, inside the step marked last, the flush that this step obliges the hypervisor to make: by this vCPU before it
 * enters the guest again, by every other before the lock is released, while it runs the guest.
 */
export function oweFlush(m: Machine, { words, bug }: Debt): void {
  const cause = m.steps - 1;
  for (const vcpu of vcpusOf(m)) {
    const serial = m.serial('owed');
    const own = bug ?? (vcpu !== m.vcpu && m.settings['flush-reach'] === 'local' ? 'B-B2' : undefined);
    const debt = { serial, vcpu, words: Object.freeze([...words]), due: 'entry', cause } as const;
    m.set('owed', serial, Object.freeze(own === undefined ? debt : { ...debt, bug: own }));
  }
}
