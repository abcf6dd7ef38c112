/** What the lanes of one run and of two are drawn with. */
import { memo, useEffect, useRef, useState } from 'react';
import type { Mark } from '../../scene/flame.ts';

export const LANE = 19;

/** The width of an element, followed. */
export function useWidth(): readonly [React.RefObject<HTMLDivElement | null>, number] {
  const host = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(1000);
  useEffect(() => {
    const element = host.current;
    if (element === null) return undefined;
    const observer = new ResizeObserver(() => {
      setWidth(element.clientWidth);
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
    };
  }, []);
  return [host, width];
}

interface BarProps {
  readonly label: string;
  readonly x: number;
  readonly width: number;
  readonly y: number;
  readonly height: number;
  readonly current: boolean;
  readonly call?: boolean;
}

/** Drawn anew only where it begins or ceases to be the current one. */
export const Bar = memo(function Bar(props: BarProps): React.JSX.Element {
  const { label, x, y, height, current, call } = props;
  const width = Math.max(1, props.width - 1.5);
  const room = Math.floor((width - 8) / 7);
  return (
    <g className={`bar${call === true ? ' call' : ' operation'}${current ? ' now' : ''}`}>
      <title>{label}</title>
      <rect x={x} y={y} width={width} height={height} rx={3} />
      {room > 3 && (
        <text x={x + 5} y={y + height - 3}>
          {label.length > room ? `${label.slice(0, room - 1)}…` : label}
        </text>
      )}
    </g>
  );
});

export const scaleOf =
  (of: { left: number; width: number }) =>
  (start: number, end: number) =>
  (step: number): number =>
    of.left + ((step - start) / Math.max(1, end - start)) * (of.width - of.left - 8);

/** Marks differ by shape and letter, never by colour alone. */
export function MarkSign({ mark, x, y }: { mark: Mark; x: number; y: number }): React.JSX.Element {
  const shape =
    mark.kind === 'broken' ? (
      <path d="M-3.5,-8.5 L3.5,-8.5 L8.5,-3.5 L8.5,3.5 L3.5,8.5 L-3.5,8.5 L-8.5,3.5 L-8.5,-3.5 Z" />
    ) : mark.kind === 'harm' ? (
      <path d="M-7.5,-8 L7.5,-8 L7.5,2 L0,9 L-7.5,2 Z" />
    ) : mark.kind === 'flush' ? (
      <circle r={7} />
    ) : mark.kind === 'write-protect' ? (
      <rect x={-6} y={-6} width={12} height={12} transform="rotate(45)" />
    ) : mark.kind === 'inject' ? (
      <path d="M0,-8 L8,6 L-8,6 Z" />
    ) : (
      <rect x={-7} y={-7} width={14} height={14} rx={3} />
    );
  return (
    <g className={`mark ${mark.kind}`} transform={`translate(${String(x)},${String(y)})`}>
      <title>{mark.meaning}</title>
      {shape}
      <text y={4} textAnchor="middle">
        {mark.letter}
      </text>
    </g>
  );
}
