/** Where the translation ends: before and after the flips, and the fault code field by field. */
import type { Probe } from '../../core/operations/probe-result.ts';
import type { Settings } from '../../core/settings.ts';
import { outcomeView, type CodeView, type OutcomeView } from '../../scene/probe-outcome.ts';
import { PROBE_STRINGS } from './strings.ts';

const SIGNS: Readonly<Record<OutcomeView['kind'], string>> = {
  reached: '✓',
  'guest-fault': '✗',
  'host-fault': '✗',
  stopped: '✗',
};

const wordsOf = ({ headline, detail }: OutcomeView): string => `${headline} ${detail}`;

export function Outcome(props: { base: Probe; now: Probe; settings: Settings }): React.JSX.Element {
  const { base, now, settings } = props;
  const view = outcomeView(now, settings);
  const flipped = now.request.flips.length > 0;
  const before = flipped ? outcomeView(base, settings) : undefined;
  return (
    <div className="outcomes" role="status" aria-label={PROBE_STRINGS.outcome}>
      {before !== undefined && wordsOf(before) !== wordsOf(view) && (
        <div className={`outcome was ${before.kind}`}>
          <small>{PROBE_STRINGS.before}</small>
          <p>
            <span aria-hidden="true">{SIGNS[before.kind]}</span> {before.headline}
          </p>
        </div>
      )}
      <div className={`outcome ${view.kind}`}>
        {before !== undefined && (
          <small>{wordsOf(before) === wordsOf(view) ? PROBE_STRINGS.same : PROBE_STRINGS.after}</small>
        )}
        <p className="headline">
          <span aria-hidden="true">{SIGNS[view.kind]}</span> {view.headline}
        </p>
        {view.detail !== '' && <p className="quiet">{view.detail}</p>}
        <p className="quiet costs">{PROBE_STRINGS.costs(now.refs, now.spared, now.adw)}</p>
      </div>
    </div>
  );
}

/** Rights of a page that was reached, or the codes of a fault. */
export function Codes({ probe, settings }: { probe: Probe; settings: Settings }): React.JSX.Element {
  const { rights, codes } = outcomeView(probe, settings);
  return (
    <>
      {rights.length > 0 && (
        <>
          <h3>{PROBE_STRINGS.rights}</h3>
          <ul className="rights">
            {rights.map(({ name, granted }) => (
              <li key={name} className={granted ? 'granted' : ''}>
                {name} <b>{granted ? PROBE_STRINGS.granted : PROBE_STRINGS.refused}</b>
              </li>
            ))}
          </ul>
        </>
      )}
      {codes.map((code) => (
        <Code key={code.title} code={code} />
      ))}
    </>
  );
}

function Code({ code }: { code: CodeView }): React.JSX.Element {
  return (
    <table className="code-fields">
      <caption>
        {code.title} <span className="mono">{`0x${code.value.toString(16)}`}</span>
      </caption>
      <tbody>
        {code.fields.map((field) => (
          <tr key={field.name} className={field.set ? 'set' : ''}>
            <th scope="row">{field.name}</th>
            <td className="quiet">{field.place}</td>
            <td className="mono">{field.value}</td>
            <td>{field.meaning}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
