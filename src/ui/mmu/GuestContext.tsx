/** How the guest pages: cpu_role, permission bitmaps, reserved bits, CR3 and the root entries of PAE. */
import type { AccessRow, GuestContextView } from '../../scene/mmu-view.ts';
import { Fields, Reserved } from './pieces.tsx';
import { MMU } from './words.ts';

const { guest: WORDS, permissions: PERMISSIONS } = MMU;

export function GuestContext({ view }: { view: GuestContextView }): React.JSX.Element {
  return (
    <section className="half guest" aria-labelledby="mmu-guest">
      <h3 id="mmu-guest">{WORDS.title}</h3>
      <p>{WORDS.about}</p>
      <h4>
        {WORDS.role} <code>{view.role.word}</code>
      </h4>
      <p>{WORDS.levels[view.levels]}</p>
      <p className="quiet">{WORDS.base}</p>
      <Fields name={WORDS.role} fields={view.role.fields} />
      <p className="quiet">{WORDS.extension}</p>
      <Fields name={WORDS.extension} fields={view.extension} />
      <Permissions rows={view.permissions} unused={view.levels === 0} />
      <Reserved
        title={MMU.reserved.guest}
        about={MMU.reserved.guestAbout(view.physicalBits)}
        rows={view.reserved}
      />
      <h4>{WORDS.cr3}</h4>
      <dl className="words">
        <div>
          <dt>CR3</dt>
          <dd>{view.cr3}</dd>
        </div>
        {view.pdptrs?.map((value, index) => (
          <div key={String(index)}>
            <dt>{WORDS.pdptr(index)}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {view.pdptrs !== undefined && <p className="quiet">{WORDS.pdptrs}</p>}
    </section>
  );
}

function Permissions({ rows, unused }: { rows: readonly AccessRow[]; unused: boolean }): React.JSX.Element {
  return (
    <>
      <h4>{PERMISSIONS.title}</h4>
      <p className="quiet">
        {rows.length === 0 ? PERMISSIONS.none : unused ? PERMISSIONS.unused : PERMISSIONS.about}
      </p>
      {rows.length > 0 && (
        <table className="permissions" aria-label={PERMISSIONS.title}>
          <thead>
            <tr>
              <th scope="col">{PERMISSIONS.access}</th>
              {PERMISSIONS.rights.map((rights) => (
                <th key={rights} scope="col">
                  {rights}
                </th>
              ))}
              <th scope="col">{PERMISSIONS.byte}</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <Access key={row.index} row={row} />
            ))}
          </tbody>
        </table>
      )}
      <p className="quiet">{PERMISSIONS.legend}</p>
      <p className="quiet">{PERMISSIONS.impossible}</p>
      <p className="quiet">{PERMISSIONS.pkru}</p>
    </>
  );
}

function Access({ row }: { row: AccessRow }): React.JSX.Element {
  const { user, write, fetch, smapOff } = row;
  const does = [write ? 'write' : '', fetch ? 'fetch' : ''].filter((word) => word !== '');
  const name = [
    user ? PERMISSIONS.user : PERMISSIONS.kernel,
    does.length === 0 ? 'read' : does.join(' + '),
    ...(smapOff ? [PERMISSIONS.smapOff] : []),
  ].join(' ');
  return (
    <tr className={write && fetch ? 'impossible' : ''}>
      <th scope="row">{name}</th>
      {row.faults.map((faults, access) => (
        <td key={String(access)} className={faults ? 'faults' : ''}>
          <span aria-hidden="true">{faults ? '✕' : ''}</span>
          <span className="hidden">{faults ? PERMISSIONS.fault : PERMISSIONS.allowed}</span>
        </td>
      ))}
      <td className="byte">{row.byte}</td>
    </tr>
  );
}
