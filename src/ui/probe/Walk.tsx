/** The steps of a walk as sentences, with the place at which it parts from the walk without flips. */
import type { Probe } from '../../core/operations/probe-result.ts';
import type { Settings } from '../../core/settings.ts';
import { partAt, probeRows, type ProbeRow } from '../../scene/probe-view.ts';
import { PROBE_STRINGS } from './strings.ts';

export function Walk(props: { base: Probe; now: Probe; settings: Settings }): React.JSX.Element {
  const { base, now, settings } = props;
  const rows = probeRows(now, settings);
  const parts = base === now ? undefined : partAt(base, now);
  const instead = parts === undefined ? undefined : probeRows(base, settings)[parts]?.what;
  const numbered = rows.map((row, at) => ({ row, at }));
  const steps = (of: typeof numbered): React.JSX.Element => (
    <ol className="walk" start={(of[0]?.at ?? 0) + 1}>
      {of.map(({ row, at }) => (
        <Step key={at} row={row} parts={at === parts} instead={instead} />
      ))}
    </ol>
  );
  const reaction = numbered.filter(({ row }) => row.reaction);
  return (
    <>
      {steps(numbered.filter(({ row }) => !row.reaction))}
      {reaction.length > 0 && (
        <details>
          <summary>{PROBE_STRINGS.reaction(reaction.length)}</summary>
          {steps(reaction)}
        </details>
      )}
    </>
  );
}

function Step(props: { row: ProbeRow; parts: boolean; instead: string | undefined }): React.JSX.Element {
  const { row, parts, instead } = props;
  return (
    <li className={parts ? 'parts' : ''}>
      <p>{row.what}</p>
      <p className="quiet">{row.why}</p>
      {parts && (
        <p className="instead">
          {PROBE_STRINGS.parts} <span>{instead ?? PROBE_STRINGS.ends}</span>
        </p>
      )}
    </li>
  );
}
