/** The scenes of one run around its cursor: the one shown, and its neighbours where they were made ahead. */
import type { Timeline } from '../timeline/timeline.ts';
import { sceneAt, type Drawn } from './scene.ts';
import type { Scene } from './parts.ts';

/** The one at the cursor and its neighbours. */
const KEPT = 3;

export class Scenes {
  readonly timeline: Timeline;
  readonly drawn: Drawn;
  private readonly made = new Map<number, Scene>();

  constructor(timeline: Timeline, drawn: Drawn) {
    this.timeline = timeline;
    this.drawn = drawn;
  }

  has(position: number): boolean {
    return this.made.has(position);
  }

  /** The scene at a position; the timeline stands there afterwards. */
  at(position: number): Scene {
    this.timeline.seek(position);
    const scene = this.made.get(position) ?? sceneAt(this.timeline, this.drawn);
    this.keep(position, scene);
    return scene;
  }

  /** What is kept lies around the position that is kept last. */
  keep(position: number, scene: Scene): void {
    this.made.set(position, scene);
    if (this.made.size <= KEPT) return;
    const [far = position] = [...this.made.keys()].sort(
      (a, b) => Math.abs(b - position) - Math.abs(a - position),
    );
    this.made.delete(far);
  }
}
