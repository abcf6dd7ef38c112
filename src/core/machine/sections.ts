/**
 * What a vCPU does, as a chain of sections: straight-line pieces, each of which says whether it needs the hypervisor's
 * lock and gives the next. Between two sections, and at a named preemption point inside one, other vCPUs may run; one
 * that needs a lock that is held is parked with all that it did before, and goes on when the holder's section ends.
 */
import { BOUNDS } from '../bounds.ts';
import type { Machine } from './machine.ts';

/** What a chain waits for besides the lock: somebody else is in the middle of something. */
export interface Waits {
  readonly why: string;
  readonly still: () => boolean;
}

export interface Section {
  /** Whether the hypervisor's lock is held while it runs. */
  readonly locked: boolean;
  /** It takes the lock itself, for a part of what it does: it does not begin while another holds it. */
  readonly takesLock?: () => boolean;
  /** It does not begin before this is over. */
  readonly waits?: Waits;
  /** Gives what comes next; nothing when the chain is done. */
  readonly run: () => Section | undefined;
}

/** One thing that a machine does for its guest, in up to three sections: the exit, the work, the entry. */
export interface Work<Result> {
  readonly before?: () => void;
  readonly locked: boolean;
  /** The body takes the lock itself, where it needs it (`Machine.underLock`). */
  readonly takesLock?: true;
  readonly body: () => Result;
  readonly after?: () => void;
  /** Whether what comes after it takes the lock, as things stand then. */
  readonly afterTakesLock?: () => boolean;
}

export const freely = (run: Section['run']): Section => ({ locked: false, run });

/** The sections of a piece of work, with what follows it. */
export function sectionsOf<Result>(
  work: Work<Result>,
  then: (result: Result) => Section | undefined,
): Section {
  const body: Section = {
    locked: work.locked,
    ...(work.takesLock === undefined ? {} : { takesLock: () => true }),
    run: () => {
      const result = work.body();
      const run = (): Section | undefined => {
        work.after?.();
        return then(result);
      };
      return work.afterTakesLock === undefined
        ? freely(run)
        : { locked: false, takesLock: work.afterTakesLock, run };
    },
  };
  if (work.before === undefined) return body;
  return freely(() => {
    work.before?.();
    return body;
  });
}

/** A chain that waits, or is about to run. */
interface Task {
  readonly vcpu: number;
  readonly section: Section;
  /** Where in the calls the vCPU stands. */
  readonly place: number;
}

/** Runs chains of sections, one at a time, and keeps those that wait for the lock. Lives as long as one operation. */
export class Sections {
  private readonly m: Machine;
  private readonly parked: Task[] = [];
  private depth = 0;

  constructor(m: Machine) {
    this.m = m;
    m.lockHolder = undefined;
  }

  /** Runs a chain for the vCPU that acts, to its end or until it has to wait for the lock. */
  run(section: Section): void {
    this.resume({ vcpu: this.m.vcpu, section, place: this.m.place });
  }

  private resume(task: Task): void {
    const { m } = this;
    const outer = { vcpu: m.vcpu, place: m.place };
    if (this.depth >= BOUNDS.nestedChains) throw new Error('assertion failed: chains nest without end');
    this.depth += 1;
    m.vcpu = task.vcpu;
    m.place = task.place;
    let next: Section | undefined = task.section;
    while (next !== undefined) {
      if (isWaiting(next)) {
        m.step('turn-wait', { why: next.waits?.why ?? '' });
        this.parked.push({ vcpu: task.vcpu, section: next, place: m.place });
        break;
      }
      if (this.isLockedOut(next, task.vcpu)) {
        m.step('lock-wait', { holder: m.lockHolder ?? 0 });
        this.parked.push({ vcpu: task.vcpu, section: next, place: m.place });
        break;
      }
      if (!next.locked) {
        next = next.run();
        this.resumeWaiting();
        continue;
      }
      m.lockHolder = task.vcpu;
      next = next.run();
      m.lockHolder = undefined;
      this.resumeParked();
    }
    this.depth -= 1;
    m.vcpu = outer.vcpu;
    m.place = outer.place;
  }

  /** Whoever takes the lock in the middle of a section holds it only where another acts, nested. */
  private isLockedOut({ locked, takesLock }: Section, vcpu: number): boolean {
    const { lockHolder } = this.m;
    if (lockHolder === undefined) return false;
    return locked ? lockHolder !== vcpu : takesLock?.() === true;
  }

  /** The lock is free. First come, first served. */
  private resumeParked(): void {
    this.resumeThose(({ section }) => !isWaiting(section));
  }

  /** Those that waited for something else, or for a lock that is taken in the middle of sections, where that is over. */
  private resumeWaiting(): void {
    const free = this.m.lockHolder === undefined;
    this.resumeThose(({ section }) => {
      if (section.takesLock !== undefined) return free && !isWaiting(section);
      return section.waits !== undefined && !isWaiting(section);
    });
  }

  private resumeThose(may: (task: Task) => boolean): void {
    for (;;) {
      const at = this.parked.findIndex(may);
      const [task] = at < 0 ? [] : this.parked.splice(at, 1);
      if (task === undefined) return;
      this.resume(task);
    }
  }
}

const isWaiting = ({ waits }: Section): boolean => waits?.still() === true;
