/**
 * What a vCPU does, as a chain of sections: straight-line pieces, each of which says whether it needs the hypervisor's
 * lock and gives the next. Between two sections, and at a named preemption point inside one, other vCPUs may run; one
 * that needs a lock that is held is parked with all that it did before, and goes on when the holder's section ends.
 */
import { BOUNDS } from '../bounds.ts';
import type { Machine } from './machine.ts';

export interface Section {
  /** Whether the hypervisor's lock is held while it runs. */
  readonly locked: boolean;
  /** Gives what comes next; nothing when the chain is done. */
  readonly run: () => Section | undefined;
}

/** One thing that a machine does for its guest, in up to three sections: the exit, the work, the entry. */
export interface Work<Result> {
  readonly before?: () => void;
  readonly locked: boolean;
  readonly body: () => Result;
  readonly after?: () => void;
}

export const freely = (run: Section['run']): Section => ({ locked: false, run });

/** The sections of a piece of work, with what follows it. */
export function sectionsOf<Result>(
  work: Work<Result>,
  then: (result: Result) => Section | undefined,
): Section {
  const body: Section = {
    locked: work.locked,
    run: () => {
      const result = work.body();
      return freely(() => {
        work.after?.();
        return then(result);
      });
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
      if (!next.locked) {
        next = next.run();
        continue;
      }
      if (m.lockHolder !== undefined && m.lockHolder !== task.vcpu) {
        m.step('lock-wait', { holder: m.lockHolder });
        this.parked.push({ vcpu: task.vcpu, section: next, place: m.place });
        break;
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

  /** First come, first served. */
  private resumeParked(): void {
    for (let task = this.parked.shift(); task !== undefined; task = this.parked.shift()) this.resume(task);
  }
}
