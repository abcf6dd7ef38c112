/** Transport, and the run as lanes: operations, nested calls of the current one, marks. Click or drag goes to any step. */
import { lazy, memo, Suspense, useMemo } from 'react';
import { vcpusOf } from '../../core/settings.ts';
import { bandsOf } from '../../scene/bands.ts';
import { callBlocks, marksOf, operationBlocks, type Mark } from '../../scene/flame.ts';
import { go, move, setPlaying, type Move } from '../../store/cursor.ts';
import { set, type Run } from '../../store/state.ts';
import { STRINGS, stepText } from '../strings.ts';
import { Loading, useApp, useSettledRun } from '../use-app.ts';
import { Bar, LANE, MarkSign, scaleOf, useWidth } from './pieces.tsx';

const CompareLanes = lazy(() => import('../compare/CompareLanes.tsx'));

const BUTTONS: readonly { readonly move: Move; readonly text: string; readonly label: string }[] = [
  { move: 'home', text: '|◀', label: STRINGS.transport.home },
  { move: 'back', text: '◀ Back', label: STRINGS.transport.back },
  { move: 'forward', text: 'Step ▶', label: STRINGS.transport.forward },
  { move: 'over', text: 'Over', label: STRINGS.transport.over },
  { move: 'into', text: 'Into', label: STRINGS.transport.into },
  { move: 'out', text: 'Out', label: STRINGS.transport.out },
  { move: 'next-operation', text: 'Operation', label: STRINGS.transport.operation },
];
const SPEEDS = [0.5, 1, 2, 4, 8, 16] as const;

export function TimelineBar(): React.JSX.Element {
  return (
    <footer className="time">
      <Transport />
      <AllLanes />
    </footer>
  );
}

function AllLanes(): React.JSX.Element | null {
  const at = useSettledRun();
  const comparing = useApp((state) => state.comparison !== undefined);
  if (comparing)
    return (
      <Suspense fallback={<Loading />}>
        <CompareLanes />
      </Suspense>
    );
  return at === undefined ? null : <Lanes run={at.run} cursor={at.cursor} />;
}

function Transport(): React.JSX.Element {
  const playing = useApp((state) => state.playing);
  const speed = useApp((state) => state.speed);
  return (
    <div className="transport" role="toolbar" aria-label="Transport">
      {BUTTONS.map((button) => (
        <button
          key={button.move}
          type="button"
          className={button.move}
          aria-label={button.label}
          title={button.label}
          onClick={() => {
            move(button.move);
          }}
        >
          {button.text}
        </button>
      ))}
      <button
        type="button"
        className="play"
        aria-pressed={playing}
        aria-label={playing ? STRINGS.transport.pause : STRINGS.transport.play}
        onClick={() => {
          setPlaying(!playing);
        }}
      >
        {playing ? '❚❚ Pause' : '▶ Play'}
      </button>
      <select
        aria-label={STRINGS.transport.speed}
        value={speed}
        onChange={(event) => {
          set({ speed: Number(event.target.value) });
        }}
      >
        {SPEEDS.map((value) => (
          <option key={value} value={value}>{`${String(value)}×`}</option>
        ))}
      </select>
      <span className="space" />
      <Position />
    </div>
  );
}

function Position(): React.JSX.Element | null {
  const at = useSettledRun();
  if (at === undefined) return null;
  const { begin, length } = at.run.timeline;
  return (
    <span className="position">
      {stepText(at.cursor - begin, length - begin)}
      <small>{` · operation ${at.run.timeline.nameOf(at.cursor)}`}</small>
    </span>
  );
}

const GIVEN = 52;
/** Nested calls shown; fewer where the window is low. */
const DEPTH = innerHeight < 760 ? 3 : 4;

function Lanes({ run, cursor }: { run: Run; cursor: number }): React.JSX.Element {
  const [host, width] = useWidth();
  const { timeline } = run;
  const { begin, length } = timeline;
  const operations = useMemo(() => operationBlocks(timeline), [timeline]);
  const marks = useMemo(() => marksOf(timeline, begin, length), [timeline, begin, length]);
  const bands = useMemo(() => bandsOf(timeline), [timeline]);
  const current =
    operations.find((operation) => cursor > operation.first && cursor <= operation.end) ?? operations[0];
  const [from, to] = [current?.first ?? begin, current?.end ?? length];
  const calls = useMemo(() => callBlocks(timeline, { from, to, depth: DEPTH }), [timeline, from, to]);
  const left = GIVEN + 56;
  const scale = scaleOf({ left, width });
  const all = scale(begin, length);
  const zoomed = scale(from, to);
  const scrub = (event: React.PointerEvent<SVGElement>, row: 'all' | 'zoomed'): void => {
    if (event.type === 'pointermove' && event.buttons !== 1) return;
    const box = event.currentTarget.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const [start, end] = row === 'all' ? [begin, length] : [from, to];
    go(Math.max(begin + 1, Math.round(start + share * (end - start) + 0.5)));
  };
  const vcpus = vcpusOf(timeline.program.settings);
  const lanes = vcpus.length;
  const marksTop = LANE * lanes;
  const callsTop = marksTop + LANE + 4;
  return (
    <div className="lanes" ref={host}>
      <svg width={width} height={callsTop + DEPTH * 15 + 4} role="img" aria-label="Timeline">
        {vcpus.map((vcpu) => (
          <text key={vcpu} className="lane-name" x={2} y={vcpu * LANE + 14}>
            {`vCPU ${String(vcpu)}`}
          </text>
        ))}
        <rect className="given" x={left - GIVEN} y={1} width={GIVEN - 4} height={LANE - 3} rx={4} />
        <text className="block-name" x={left - GIVEN + 7} y={14}>
          {STRINGS.given}
        </text>
        {operations.map((block) => (
          <Bar
            key={block.id}
            label={block.label}
            x={all(block.first)}
            width={all(block.end) - all(block.first)}
            y={block.vcpu * LANE + 1}
            height={LANE - 3}
            current={cursor > block.first && cursor <= block.end}
          />
        ))}
        {bands.map((band) => (
          <rect
            key={band.first}
            className="band"
            x={all(band.first)}
            width={Math.max(2, all(band.end) - all(band.first))}
            y={0}
            height={marksTop + LANE}
          >
            <title>{band.meaning}</title>
          </rect>
        ))}
        <text className="lane-name" x={2} y={marksTop + 14}>
          {STRINGS.marks}
        </text>
        <Marks marks={marks} begin={begin} length={length} left={left} width={width} top={marksTop} />
        <text className="lane-name" x={2} y={callsTop + 12}>
          {STRINGS.calls}
        </text>
        {calls.map((block) => (
          <Bar
            key={block.id}
            label={block.label}
            x={zoomed(block.first)}
            width={zoomed(block.end) - zoomed(block.first)}
            y={callsTop + (block.depth - 1) * 15}
            height={13}
            current={cursor > block.first && cursor <= block.end}
            call
          />
        ))}
        <line className="cursor" x1={all(cursor)} x2={all(cursor)} y1={0} y2={marksTop + LANE} />
        {cursor > from && cursor <= to && (
          <line
            className="cursor"
            x1={zoomed(cursor)}
            x2={zoomed(cursor)}
            y1={callsTop - 2}
            y2={callsTop + DEPTH * 15}
          />
        )}
        <rect
          className="scrub"
          x={left}
          y={0}
          width={Math.max(1, width - left - 8)}
          height={marksTop + LANE}
          onPointerDown={(event) => {
            scrub(event, 'all');
          }}
          onPointerMove={(event) => {
            scrub(event, 'all');
          }}
        />
        <rect
          className="scrub"
          x={left}
          y={callsTop}
          width={Math.max(1, width - left - 8)}
          height={DEPTH * 15}
          onPointerDown={(event) => {
            scrub(event, 'zoomed');
          }}
          onPointerMove={(event) => {
            scrub(event, 'zoomed');
          }}
        />
      </svg>
      <input
        type="range"
        className="scrubber"
        aria-label="Step"
        min={begin}
        max={length}
        value={cursor}
        aria-valuetext={stepText(cursor - begin, length - begin)}
        onChange={(event) => {
          go(Number(event.target.value));
        }}
      />
    </div>
  );
}

const Marks = memo(function Marks(props: {
  marks: readonly Mark[];
  begin: number;
  length: number;
  left: number;
  width: number;
  top: number;
}): React.JSX.Element {
  const { marks, begin, length, left, width, top } = props;
  const all = scaleOf({ left, width })(begin, length);
  return (
    <>
      {marks.map((mark) => (
        <MarkSign
          key={`${mark.kind}${String(mark.step)}`}
          mark={mark}
          x={(all(mark.step) + all(mark.step + 1)) / 2 + (mark.shift ?? 0)}
          y={top + 10}
        />
      ))}
    </>
  );
});
