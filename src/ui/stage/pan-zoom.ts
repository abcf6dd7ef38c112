/** Panning and zooming by hand, and moving there smoothly: d3-zoom around a transform that somebody else applies. */
import { select } from 'd3-selection';
import 'd3-transition';
import { zoom, zoomIdentity, type ZoomTransform } from 'd3-zoom';
import { MOVE_MS, type Transform } from './moving.ts';

export interface PanZoom {
  go(target: Transform, animated: boolean): void;
  zoomBy(factor: number): void;
  destroy(): void;
}

export function panZoom(
  host: HTMLElement,
  by: {
    at: Transform;
    size: () => { readonly width: number; readonly height: number };
    moved: (transform: Transform, byHand: boolean) => void;
  },
): PanZoom {
  const root = select(host);
  const behavior = zoom<HTMLElement, unknown>()
    .scaleExtent([0.3, 4])
    // Said, because by itself it would ask the browser and make it lay out the page at once.
    .extent(() => {
      const { width, height } = by.size();
      return [
        [0, 0],
        [width, height],
      ];
    })
    .on('zoom', (event: { transform: ZoomTransform; sourceEvent: unknown }) => {
      const { x, y, k } = event.transform;
      by.moved({ x, y, k }, event.sourceEvent !== null && event.sourceEvent !== undefined);
    });
  root.call(behavior).on('dblclick.zoom', null);
  const go = ({ x, y, k }: Transform, animated: boolean): void => {
    const target = zoomIdentity.translate(x, y).scale(k);
    if (animated) behavior.transform(root.transition().duration(MOVE_MS), target);
    else behavior.transform(root, target);
  };
  go(by.at, false);
  return {
    go,
    zoomBy: (factor) => {
      behavior.scaleBy(root.transition().duration(MOVE_MS), factor);
    },
    destroy: () => {
      root.interrupt().on('.zoom', null);
    },
  };
}
