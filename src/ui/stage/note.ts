import type { Selection } from 'd3-selection';
import type { Scene } from '../../scene/parts.ts';
import { setText } from './sparing.ts';

/** At the right end of the hypervisor's zone, what it has once. */
export function drawNote(
  group: Selection<SVGGElement, unknown, null, undefined>,
  { note, layout }: Scene,
): void {
  const area = layout.zones.hypervisor;
  const text = group
    .selectAll<SVGTextElement, string>('text.zone-note')
    .data(note === undefined || area === undefined ? [] : [note.text])
    .join((enter) => {
      const made = enter.append('text').attr('class', 'zone-note').attr('text-anchor', 'end');
      made.append('tspan');
      made.append('title');
      return made;
    });
  if (note === undefined || area === undefined) return;
  text
    .attr('x', area.x + area.width - 12)
    .attr('y', area.y + 4)
    .classed('changed', note.changed);
  setText(text.select('tspan'), (own) => own);
  setText(text.select('title').datum(note.title), (own) => own);
}
