/** The one timeline of two runs: a lane each, blank where a run waits, and between them where they differ. */
import { memo, useMemo } from 'react';
import { marksOf, operationBlocks, type Mark } from '../../scene/flame.ts';
import { goToPlace } from '../../store/cursor.ts';
import type { Run } from '../../store/state.ts';
import { LEVELS, type Comparison, type DifferenceLevel } from '../../timeline/compare.ts';
import { stepText } from '../strings.ts';
import { COMPARE } from '../strings-later.ts';
import { Bar, LANE, MarkSign, scaleOf, useWidth } from '../timeline/pieces.tsx';
import { useApp, useSettledPlace } from '../use-app.ts';
import './lanes.css';

const LEFT = 52;
/** Marks closer than this would cover each other: the later ones are left out. */
const MARK_WIDTH = 15;
/** Where a run waits its bar is cut from below: so high that the words in the bar stay whole. */
const PAUSE = 5;
const DIFFERENCES_TOP = LANE * 2 + 1;
const SECOND_TOP = LANE * 3 + 2;
const HEIGHT = LANE * 5 + 4;

export default function CompareLanes(): React.JSX.Element | null {
  const comparison = useApp((state) => state.comparison);
  const [a, b] = [useApp((state) => state.runs[0]), useApp((state) => state.runs[1])];
  const place = useSettledPlace();
  const [host, width] = useWidth();
  if (comparison === undefined || a === undefined || b === undefined) return null;
  const { axis } = comparison;
  const [first, last] = [axis.ofA[a.timeline.begin] ?? 0, axis.a.length - 1];
  const scale = scaleOf({ left: LEFT, width })(first, last);
  const scrub = (event: React.PointerEvent<SVGElement>): void => {
    if (event.type === 'pointermove' && event.buttons !== 1) return;
    const box = event.currentTarget.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    goToPlace(Math.max(first + 1, Math.round(first + share * (last - first) + 0.5)));
  };
  const text = stepText(place - first, last - first);
  return (
    <div className="lanes two" ref={host}>
      <svg width={width} height={HEIGHT} role="img" aria-label={COMPARE.lanes.timeline}>
        <Lane
          run={a}
          name="A"
          top={0}
          of={{ comparison, positions: axis.a, places: axis.ofA, first, last, width }}
        />
        <Lane
          run={b}
          name="B"
          top={SECOND_TOP}
          of={{ comparison, positions: axis.b, places: axis.ofB, first, last, width }}
        />
        <text className="lane-name" x={2} y={DIFFERENCES_TOP + 13}>
          {COMPARE.lanes.marks}
        </text>
        <DifferenceMarks comparison={comparison} first={first} last={last} width={width} />
        <line className="cursor" x1={scale(place)} x2={scale(place)} y1={0} y2={HEIGHT} />
        <rect
          className="scrub"
          x={LEFT}
          y={0}
          width={Math.max(1, width - LEFT - 8)}
          height={HEIGHT}
          onPointerDown={scrub}
          onPointerMove={scrub}
        />
      </svg>
      <input
        type="range"
        className="scrubber"
        aria-label={COMPARE.lanes.timeline}
        min={first}
        max={last}
        value={place}
        aria-valuetext={text}
        onChange={(event) => {
          goToPlace(Number(event.target.value));
        }}
      />
    </div>
  );
}

interface LaneOf {
  readonly comparison: Comparison;
  readonly positions: Int32Array;
  readonly places: Int32Array;
  readonly first: number;
  readonly last: number;
  readonly width: number;
}

function Lane(props: { run: Run; name: string; top: number; of: LaneOf }): React.JSX.Element {
  const { run, name, top } = props;
  const { positions, places, first, last, width } = props.of;
  const { timeline } = run;
  const operations = useMemo(() => operationBlocks(timeline), [timeline]);
  const marks = useMemo(() => marksOf(timeline, timeline.begin, timeline.length), [timeline]);
  const scale = useMemo(() => scaleOf({ left: LEFT, width })(first, last), [first, last, width]);
  const pauses = useMemo(
    () => pausesOf(positions, { first, last, least: (2 * (last - first)) / width }),
    [positions, first, last, width],
  );
  const now = useSettledPlace();
  return (
    <g transform={`translate(0,${String(top)})`}>
      <text className="lane-name side" x={2} y={14}>
        {name}
      </text>
      {operations.map(({ id, label, first: from, end }) => {
        // The block begins where its first step does: one place before that step is done.
        const [start, stop] = [(places[from + 1] ?? 1) - 1, places[end] ?? 0];
        return (
          <Bar
            key={id}
            label={label}
            x={scale(start)}
            width={scale(stop) - scale(start)}
            y={1}
            height={LANE - 3}
            current={now > start && now <= stop}
          />
        );
      })}
      {pauses.map(({ from, to }) => (
        <rect
          key={from}
          className="pause"
          x={scale(from)}
          width={scale(to) - scale(from)}
          y={LANE - PAUSE - 1}
          height={PAUSE}
        />
      ))}
      <LaneMarks marks={marks} places={places} scale={scale} />
    </g>
  );
}

const LaneMarks = memo(function LaneMarks(props: {
  marks: readonly Mark[];
  places: Int32Array;
  scale: (place: number) => number;
}): React.JSX.Element {
  const { marks, places, scale } = props;
  const placed = apart(
    marks.map((mark) => ({ mark, x: scale((places[mark.step + 1] ?? 0) - 0.5) })),
    ({ x }) => x,
  );
  return (
    <>
      {placed.map(({ mark, x }) => (
        <MarkSign key={mark.step} mark={mark} x={x} y={LANE + 10} />
      ))}
    </>
  );
});

/** One mark where several differences lie: of the highest level. */
const DifferenceMarks = memo(function DifferenceMarks(props: {
  comparison: Comparison;
  first: number;
  last: number;
  width: number;
}): React.JSX.Element {
  const { comparison, first, last, width } = props;
  const scale = scaleOf({ left: LEFT, width })(first, last);
  const levels = new Map<number, DifferenceLevel>();
  for (const { place, level } of comparison.differences) if (!levels.has(place)) levels.set(place, level);
  // The highest levels first, so that none of them is left out for a lower one.
  const placed = LEVELS.flatMap((level) =>
    [...levels].flatMap(([place, own]) => (own === level ? [{ place, level, x: scale(place - 0.5) }] : [])),
  );
  return (
    <>
      {apart(placed, ({ x }) => x).map(({ place, level, x }) => (
        <g
          key={place}
          className={`mark differs ${level}`}
          transform={`translate(${String(x)},${String(DIFFERENCES_TOP + 9)})`}
        >
          <title>{COMPARE.levels[level]}</title>
          {level === 'visible' ? (
            <path d="M0,-9 L9,7 L-9,7 Z" />
          ) : level === 'cost' ? (
            <rect x={-7} y={-7} width={14} height={14} rx={2} />
          ) : (
            <circle r={7.5} />
          )}
          <text y={4} textAnchor="middle">
            {COMPARE.letters[level]}
          </text>
        </g>
      ))}
    </>
  );
});

/** Those that have room, the earlier ones of the list first. */
function apart<T>(items: readonly T[], xOf: (item: T) => number): readonly T[] {
  const taken = new Map<number, number>();
  return items.filter((item) => {
    const x = xOf(item);
    const cell = Math.floor(x / MARK_WIDTH);
    if ([cell - 1, cell, cell + 1].some((near) => Math.abs((taken.get(near) ?? -Infinity) - x) < MARK_WIDTH))
      return false;
    taken.set(cell, x);
    return true;
  });
}

/** Where a run stands still for more than `least` places. */
function pausesOf(
  positions: Int32Array,
  { first, last, least }: { first: number; last: number; least: number },
): readonly { readonly from: number; readonly to: number }[] {
  const pauses: { from: number; to: number }[] = [];
  for (let from = first; from < last;) {
    let to = from;
    while (to < last && positions[to + 1] === positions[from]) to += 1;
    if (to > from && to - from >= least) pauses.push({ from, to });
    from = Math.max(to, from + 1);
  }
  return pauses;
}
