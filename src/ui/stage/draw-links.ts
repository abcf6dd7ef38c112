/** The links of a scene, from an entry to what it leads to. */
import type { Scene, SceneBox, SceneLink } from '../../scene/parts.ts';
import { endsOf, type Ends } from './geometry.ts';
import { joinChanged, setAttr } from './sparing.ts';

type Drawn = SceneLink & Ends;

/** Where each link ran last: it runs there still while neither it nor the boxes at its ends are others. */
const RUNS = new WeakMap<
  SceneLink,
  { from?: SceneBox | undefined; to?: SceneBox | undefined; drawn: Drawn }
>();

export function drawLinks(group: SVGGElement, scene: Scene): void {
  const boxes = new Map(scene.boxes.map((box) => [box.id, box]));
  const data = scene.links.map((link) => {
    const [from, to] = [boxes.get(link.from.box), boxes.get(link.to.box)];
    const known = RUNS.get(link);
    if (known !== undefined && known.from === from && known.to === to) return known.drawn;
    const drawn = { ...link, ...endsOf(link, boxes) };
    RUNS.set(link, { from, to, drawn });
    return drawn;
  });
  const path = joinChanged<SVGPathElement, Drawn>(group, data, {
    selector: 'path',
    make: (enter) => enter.append('path'),
  });
  setAttr(
    path,
    'class',
    (d) => `link ${d.kind}${d.active ? ' active' : ''}${d.label === undefined ? '' : ' broken'}`,
  );
  setAttr(path, 'data-from', (d) => d.from.box);
  setAttr(path, 'data-to', (d) => d.to.box);
  setAttr(path, 'data-link', (d) => d.id);
  setAttr(path, 'd', (d) => d.path);
}
