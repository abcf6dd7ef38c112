/** The contexts of all vCPUs, one shown at a time. */
import { useState } from 'react';
import type { MmuView } from '../../scene/mmu-view.ts';
import { GuestContext } from './GuestContext.tsx';
import { Roots } from './Roots.tsx';
import { MMU } from './words.ts';

export function MmuContexts({ views }: { views: readonly MmuView[] }): React.JSX.Element {
  const [chosen, choose] = useState(0);
  const view = views.find(({ vcpu }) => vcpu === chosen) ?? views[0];
  if (view === undefined) return <p className="mmu-body quiet">{MMU.none}</p>;
  return (
    <div className="mmu-body" tabIndex={0} role="group" aria-label={MMU.vcpu(view.vcpu)}>
      {views.length > 1 && (
        <div className="vcpus" role="group" aria-label={MMU.vcpus}>
          {views.map(({ vcpu }) => (
            <button
              key={vcpu}
              type="button"
              aria-pressed={vcpu === view.vcpu}
              onClick={() => {
                choose(vcpu);
              }}
            >
              {MMU.vcpu(vcpu)}
            </button>
          ))}
        </div>
      )}
      <p className="quiet">{MMU.about}</p>
      <GuestContext view={view.guest} />
      <Roots view={view.roots} />
      <Why />
    </div>
  );
}

function Why(): React.JSX.Element {
  return (
    <section className="half" aria-labelledby="mmu-why">
      <h3 id="mmu-why">{MMU.why.title}</h3>
      {MMU.why.sentences.map((sentence) => (
        <p key={sentence}>{sentence}</p>
      ))}
      <dl>
        {MMU.why.sets.map(([name, meaning]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
      <p>{MMU.why.end}</p>
    </section>
  );
}
