/** What a box has no room for, while somebody points at it or has moved the focus to it; across from its zone. */
import { detailsOf } from '../../scene/box-details.ts';
import type { Scene } from '../../scene/parts.ts';
import type { Run } from '../../store/state.ts';
import { useApp } from '../use-app.ts';
import './box-detail.css';

export default function BoxDetail({ run, scene }: { run: Run; scene: Scene }): React.JSX.Element | null {
  const selected = useApp((state) => state.selected);
  const box = scene.boxes.find(({ id, rows }) => id === selected || rows.some((row) => row.id === selected));
  const details = box === undefined ? [] : detailsOf(run.timeline.world, run.cast, box.id);
  if (box === undefined || details.length === 0) return null;
  return (
    <div className={`box-detail ${box.zone}`} aria-hidden="true">
      <b>{[box.title, box.subtitle].filter((part) => part !== '').join(' · ')}</b>
      {details.map((line) => (
        <p key={line}>{line}</p>
      ))}
    </div>
  );
}
