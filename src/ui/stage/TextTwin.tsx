/** The stage as text: the same scene, as headings and tables that a keyboard and a screen reader can go through. */
import type { Scene, SceneBox, SceneRow } from '../../scene/parts.ts';
import { detailsOf } from '../../scene/box-details.ts';
import type { Run } from '../../store/state.ts';
import { STRINGS } from '../strings.ts';
import { STAGE_LATER } from '../strings-later.ts';
import './twin.css';

const ZONES = ['hardware', 'guest', 'hypervisor'] as const;

type Inspect = ((row: string) => void) | undefined;

/** Rows that stand for an entry, a register or something cached can be looked into. */
const isInspectable = (id: string): boolean => /^(w|reg|tlb|psc|roots|mmio):/.test(id);

export default function TextTwin(of: {
  scene: Scene;
  run: Run | undefined;
  inspect: Inspect;
}): React.JSX.Element {
  const { scene, run, inspect } = of;
  const details = (box: SceneBox): readonly string[] => {
    if (run === undefined) return [];
    const table = run.cast.tables.find(({ id }) => id === box.id);
    const closed = box.folded === true && box.rows.length === 0 && table !== undefined;
    return [
      ...(closed ? [STAGE_LATER.folded(table.indices.length)] : []),
      ...detailsOf(run.timeline.world, run.cast, box.id),
    ];
  };
  return (
    <div className="twin" tabIndex={0} role="region" aria-label={STRINGS.stageLabel}>
      {ZONES.filter((zone) => scene.layout.zones[zone] !== undefined).map((zone) => (
        <section key={zone} className={`twin-zone ${zone}`}>
          {zone === 'hypervisor' && scene.note !== undefined && (
            <p title={scene.note.title}>{scene.note.text}</p>
          )}
          <h2>
            {zone === 'guest' && scene.layout.zones.hypervisor === undefined ? STRINGS.memory : STRINGS[zone]}
          </h2>
          <div className="twin-boxes">
            {scene.boxes
              .filter((box) => box.zone === zone && box.state !== 'absent')
              .map((box) => (
                <TwinBox key={box.id} box={box} details={details(box)} inspect={inspect} />
              ))}
          </div>
        </section>
      ))}
    </div>
  );
}

function TwinBox(of: { box: SceneBox; details: readonly string[]; inspect: Inspect }): React.JSX.Element {
  const { box, details, inspect } = of;
  return (
    <table className={`twin-box ${box.state}`}>
      <caption>
        {[box.title, box.subtitle, box.badge, box.fold]
          .filter((part) => part !== undefined && part !== '')
          .join(' · ')}
        {inspect !== undefined && box.id.startsWith('sp:') && (
          <button
            type="button"
            className="inline"
            onClick={() => {
              inspect(box.id);
            }}
          >
            {STAGE_LATER.role}
          </button>
        )}
        {details.map((line) => (
          <span key={line}>{line}</span>
        ))}
      </caption>
      <tbody>
        {box.rows.map((row) => (
          <TwinRow key={row.id} row={row} inspect={inspect} />
        ))}
      </tbody>
    </table>
  );
}

function TwinRow({ row, inspect }: { row: SceneRow; inspect: Inspect }): React.JSX.Element {
  const flags = row.flags.map((flag) => flag.text).join('');
  return (
    <tr className={row.state}>
      <th scope="row">
        {inspect === undefined || !isInspectable(row.id) ? (
          row.index === '' ? (
            '·'
          ) : (
            row.index
          )
        ) : (
          <button
            type="button"
            className="inline"
            onClick={() => {
              inspect(row.id);
            }}
          >
            {row.index === '' ? '·' : row.index}
          </button>
        )}
      </th>
      <td>{row.text}</td>
      <td>{flags}</td>
      <td>
        {row.old === undefined
          ? (row.mark ?? (row.state === 'quiet' ? '' : row.state))
          : `was ${row.old.text} ${row.old.flags.map((flag) => flag.text).join('')}`}
      </td>
    </tr>
  );
}
