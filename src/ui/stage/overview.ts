/**
 * The whole picture, small, in a corner of the stage: where the window stands, and what the step is about. A press
 * brings the place there into the window. Shown while the picture is larger than the window.
 */
import { select } from 'd3-selection';
import type { Scene, SceneBox } from '../../scene/parts.ts';
import { STAGE_LATER } from '../strings-later.ts';
import type { Camera, Viewport } from './camera.ts';
import type { Transform } from './moving.ts';
import './overview.css';

export interface Overview {
  update(scene: Scene): void;
  look(transform: Transform, viewport: Viewport): void;
  destroy(): void;
}

const WIDEST = 190;
const HIGHEST = 120;

export function createOverview(host: HTMLElement, eye: Camera): Overview {
  const svg = select(host).append('svg').attr('class', 'overview').attr('role', 'img');
  svg.append('title').text(STAGE_LATER.overview);
  const boxes = svg.append('g');
  const frame = svg.append('rect').attr('class', 'window');
  let scene: Scene | undefined;

  const look: Overview['look'] = ({ x, y, k }, { width, height }) => {
    if (scene === undefined) return;
    const { layout } = scene;
    const fits = layout.width * k <= width + 1 && layout.height * k <= height + 1;
    svg.style('display', fits || width < 500 ? 'none' : 'block');
    frame
      .attr('x', -x / k)
      .attr('y', -y / k)
      .attr('width', width / k)
      .attr('height', height / k);
  };
  svg.on('pointerdown', (event: PointerEvent) => {
    const { layout } = scene ?? {};
    if (layout === undefined) return;
    event.stopPropagation();
    const own = (event.currentTarget as SVGSVGElement).getBoundingClientRect();
    eye.lookAt({
      x: ((event.clientX - own.left) / own.width) * layout.width,
      y: ((event.clientY - own.top) / own.height) * layout.height,
    });
  });
  return {
    update(next) {
      if (scene?.layout !== next.layout) {
        const { width, height } = next.layout;
        const scale = Math.min(WIDEST / width, HIGHEST / height);
        svg
          .attr('viewBox', `0 0 ${String(width)} ${String(height)}`)
          .attr('width', width * scale)
          .attr('height', height * scale);
      }
      scene = next;
      boxes
        .selectAll<SVGRectElement, SceneBox>('rect')
        .data(next.boxes, (d) => d.id)
        .join('rect')
        .attr('class', (d) => `${d.zone} ${d.state}`)
        .attr('x', (d) => d.x)
        .attr('y', (d) => d.y)
        .attr('width', (d) => d.width)
        .attr('height', (d) => d.height);
      look(eye.transform, eye.viewport);
    },
    look,
    destroy() {
      svg.remove();
    },
  };
}
