/** Where one goes next is made ready while nobody waits. */
import { prepare } from '../../scene/ahead.ts';
import type { Scenes } from '../../scene/scenes.ts';

/** Prepares the neighbours of a position, one each time that the browser has nothing else to do, unless that has ended. */
export function prepareSoon(scenes: Scenes, position: number, hasEnded: () => boolean): void {
  const work = (): void => {
    if (!hasEnded() && prepare(scenes, position)) prepareSoon(scenes, position, hasEnded);
  };
  // Safari has no such call.
  if ('requestIdleCallback' in window) requestIdleCallback(work);
  else setTimeout(work, 100);
}
