/** Where the processor begins: root_role, the current root and those before it, PAE entries, reserved bits. */
import type { PaeEntry, RootPage, RootsView, RootView } from '../../scene/mmu-view.ts';
import { Fields, Reserved } from './pieces.tsx';
import { MMU } from './words.ts';

const { roots: WORDS } = MMU;

export function Roots({ view }: { view: RootsView }): React.JSX.Element {
  return (
    <section className="half roots" aria-labelledby="mmu-roots">
      <h3 id="mmu-roots">{WORDS.title}</h3>
      <p>{WORDS.about}</p>
      <h4>{WORDS.list}</h4>
      <p className="quiet">{WORDS.listAbout}</p>
      <table className="list" aria-label={WORDS.list}>
        <thead>
          <tr>
            <th scope="col">{WORDS.which}</th>
            <th scope="col">{WORDS.pgd}</th>
            <th scope="col">{WORDS.page}</th>
          </tr>
        </thead>
        <tbody>
          {view.roots.map((root) => (
            <Root key={root.number} root={root} />
          ))}
        </tbody>
      </table>
      {view.paeRoot !== undefined && <PaeRoot entries={view.paeRoot} />}
      <h4>
        {WORDS.role} <code>{view.role.word}</code>
      </h4>
      <p className="quiet">{WORDS.roleAbout}</p>
      <Fields name={WORDS.role} fields={view.role.fields} />
      <Reserved
        title={MMU.reserved.shadow}
        about={MMU.reserved.shadowAbout(view.physicalBits)}
        rows={view.reserved}
      />
    </section>
  );
}

function Root({ root }: { root: RootView }): React.JSX.Element {
  return (
    <tr className={root.frame === undefined ? 'zero' : ''}>
      <th scope="row">{root.number === 0 ? WORDS.current : WORDS.previous(root.number)}</th>
      <td className="value">{root.pgd ?? ''}</td>
      <td>
        {root.frame === undefined
          ? WORDS.empty
          : root.isPae
            ? WORDS.pae
            : root.page === undefined
              ? WORDS.frame(root.frame)
              : null}
        {root.page !== undefined && <Page page={root.page} />}
      </td>
    </tr>
  );
}

function Page({ page }: { page: RootPage }): React.JSX.Element {
  const remarks = [
    WORDS.count(page.rootCount),
    ...(page.obsolete ? [WORDS.obsolete] : []),
    ...(page.unsync ? [WORDS.unsync] : []),
  ];
  return (
    <>
      {WORDS.spText(page.serial, page.gfn)}
      <small>{remarks.join(', ')}</small>
    </>
  );
}

function PaeRoot({ entries }: { entries: readonly PaeEntry[] }): React.JSX.Element {
  return (
    <>
      <h4>{WORDS.paeTitle}</h4>
      <p className="quiet">{WORDS.paeAbout}</p>
      <table className="list" aria-label={WORDS.paeTitle}>
        <thead>
          <tr>
            <th scope="col">{WORDS.paeEntry}</th>
            <th scope="col">{MMU.value}</th>
            <th scope="col">{WORDS.page}</th>
          </tr>
        </thead>
        <tbody>
          {entries.map(({ index, entry, page }) => (
            <tr key={index} className={page === undefined ? 'zero' : ''}>
              <th scope="row">{index}</th>
              <td className="value">{entry}</td>
              <td>{page === undefined ? WORDS.empty : <Page page={page} />}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}
