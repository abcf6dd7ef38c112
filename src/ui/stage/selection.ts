import type { Selection } from 'd3-selection';
import type { Scene, SceneBox, SceneLink } from '../../scene/parts.ts';
import type { PlacedRow } from './geometry.ts';

/** What is related to the selected box, or to the box of the selected row, lights up: it, its links, where they lead. */
export function paintSelection(
  camera: Selection<SVGGElement, unknown, null, undefined>,
  scene: Scene,
  id: string | undefined,
): void {
  const own = new Set(
    id === undefined
      ? []
      : scene.boxes
          .filter((box) => box.id === id || box.rows.some((row) => row.id === id))
          .map((box) => box.id),
  );
  const related = new Set(own);
  for (const link of scene.links) {
    if (own.has(link.from.box)) related.add(link.to.box);
    if (own.has(link.to.box)) related.add(link.from.box);
  }
  if (own.size === 0 && !camera.classed('selecting')) return;
  camera.classed('selecting', own.size > 0);
  camera.selectAll<SVGGElement, SceneBox>('g.box').classed('related', (d) => related.has(d.id));
  camera.selectAll<SVGGElement, PlacedRow>('g.row').classed('selected', (d) => d.id === id);
  camera
    .selectAll<SVGPathElement, SceneLink>('path.link')
    .classed('related', (d) => own.has(d.from.box) || own.has(d.to.box));
}
