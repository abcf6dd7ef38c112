/**
 * Where the window onto the picture stands. The first picture needs only a fit, so what moves it by hand is loaded
 * after it.
 */
import type { Scene } from '../../scene/parts.ts';
import type { Transform } from './moving.ts';
import type { PanZoom } from './pan-zoom.ts';

/** Size of the window in pixels; given, because asking the browser for it would make it lay out the page at once. */
export interface Viewport {
  readonly width: number;
  readonly height: number;
}

/** Text of 13 pixels stays at least 12 at fit; what does not fit is panned to. */
const LEAST_FIT = 12 / 13;
const MOST_FIT = 1.25;
const IDENTITY: Transform = { x: 0, y: 0, k: 1 };

export class Camera {
  viewport: Viewport = { width: 0, height: 0 };
  private at = IDENTITY;
  /** Where it is on its way to: steps may follow one another faster than it moves. */
  private goal = IDENTITY;
  private followed = true;
  private hand: PanZoom | undefined;
  private gone = false;
  private readonly host: HTMLElement;
  private readonly apply: (transform: Transform) => void;

  constructor(host: HTMLElement, apply: (transform: Transform) => void) {
    this.host = host;
    this.apply = apply;
  }

  /** Lets people pan and zoom from now on. */
  async handOver(): Promise<void> {
    const { panZoom } = await import('./pan-zoom.ts');
    if (this.gone || this.hand !== undefined) return;
    this.hand = panZoom(this.host, {
      at: this.at,
      size: () => this.viewport,
      moved: (transform, byHand) => {
        this.at = transform;
        this.apply(transform);
        if (!byHand) return;
        this.followed = false;
        this.goal = transform;
      },
    });
  }

  /** Brings a place of the picture into the middle of the window. */
  lookAt(place: { x: number; y: number }): void {
    this.followed = false;
    const { k } = this.at;
    const { width, height } = this.viewport;
    this.go({ x: width / 2 - place.x * k, y: height / 2 - place.y * k, k }, false);
  }

  get transform(): Transform {
    return this.at;
  }

  fit(scene: Scene, animated: boolean): void {
    this.followed = true;
    this.go(fitTransform(this.viewport, scene), animated);
  }

  /** Pans, without zooming, so that what the step is about can be seen; unless somebody has moved the picture. */
  follow(scene: Scene, animated: boolean): void {
    const target = this.followed ? followTransform(this.goal, this.viewport, scene) : undefined;
    if (target !== undefined) this.go(target, animated);
  }

  zoomBy(factor: number): void {
    this.followed = false;
    if (this.hand !== undefined) this.hand.zoomBy(factor);
    else void this.handOver().then(() => this.hand?.zoomBy(factor));
  }

  destroy(): void {
    this.gone = true;
    this.hand?.destroy();
  }

  private go(target: Transform, animated: boolean): void {
    this.goal = target;
    if (this.hand !== undefined) {
      this.hand.go(target, animated);
      return;
    }
    this.at = target;
    this.apply(target);
  }
}

function fitTransform({ width, height }: Viewport, scene: Scene): Transform {
  const margin = 10;
  const raw = Math.min(
    (width - 2 * margin) / scene.layout.width,
    (height - 2 * margin) / scene.layout.height,
  );
  const k = Math.min(MOST_FIT, Math.max(LEAST_FIT, raw));
  const x = Math.max(margin, (width - scene.layout.width * k) / 2);
  const y = Math.max(margin, (height - scene.layout.height * k) / 2);
  return { x, y, k };
}

/** The least shift that brings the boxes of the step into the window, or undefined where they are in it. */
function followTransform(at: Transform, view: Viewport, scene: Scene): Transform | undefined {
  const focused = scene.boxes.filter((box) => scene.focus.includes(box.id));
  if (focused.length === 0) return undefined;
  const margin = 24;
  const left = Math.min(...focused.map((box) => at.x + box.x * at.k));
  const right = Math.max(...focused.map((box) => at.x + (box.x + box.width) * at.k));
  const top = Math.min(...focused.map((box) => at.y + box.y * at.k));
  const bottom = Math.max(...focused.map((box) => at.y + (box.y + box.height + 20) * at.k));
  const dx = shift({ low: left, high: right }, { low: margin, high: view.width - margin });
  const dy = shift({ low: top, high: bottom }, { low: margin, high: view.height - margin });
  if (Math.abs(dx) < 1 && Math.abs(dy) < 1) return undefined;
  return { x: at.x + dx, y: at.y + dy, k: at.k };
}

interface Range {
  readonly low: number;
  readonly high: number;
}

const shift = (of: Range, into: Range): number =>
  of.low < into.low
    ? into.low - of.low
    : of.high > into.high
      ? Math.max(into.high - of.high, into.low - of.low)
      : 0;
