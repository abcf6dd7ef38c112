/**
 * The truth by which the dirty log is judged: which frames of logged slots were written since user space last fetched
 * the log. No hypervisor knows it. It is read off the writes themselves, whoever makes them and whatever the log says.
 */
import type { Gfn, Pfn } from '../quantities.ts';
import type { Machine } from '../machine/machine.ts';
import { gfnOfPfn, isLogged } from './memslots.ts';

/** A word of a host frame was written, inside the step marked last. */
export function noteWritten(m: Machine, frame: Pfn): void {
  const gfn = gfnOfPfn(frame);
  if (gfn === undefined || m.get('written', gfn) !== undefined || !isLogged(m.world, gfn)) return;
  m.set('written', gfn, 1);
}

/**
 * User space has been given these frames, or no log is kept of them any more. What is written to them until the fetch
 * returns is in what user space copies then.
 */
export function forgetWritten(m: Machine, frames: readonly Gfn[]): void {
  for (const gfn of frames) if (m.get('written', gfn) !== undefined) m.set('written', gfn, undefined);
}
