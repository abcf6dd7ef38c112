/** What both halves of the MMU context show: the fields of a role, and reserved bits. */
import type { FieldView, ReservedView } from '../../scene/mmu-view.ts';
import { MMU } from './words.ts';

export function Fields({ name, fields }: { name: string; fields: readonly FieldView[] }): React.JSX.Element {
  return (
    <table className="fields" aria-label={name}>
      <thead>
        <tr>
          <th scope="col">{MMU.field}</th>
          <th scope="col">{MMU.value}</th>
          <th scope="col">{MMU.meaning}</th>
        </tr>
      </thead>
      <tbody>
        {fields.map((field) => (
          <Field key={field.name} field={field} />
        ))}
      </tbody>
    </table>
  );
}

function Field({ field }: { field: FieldView }): React.JSX.Element {
  const { name, at, bits, value, meaning, differs } = field;
  const place = bits === 1 ? `bit ${String(at)}` : `bits ${String(at + bits - 1)}:${String(at)}`;
  return (
    <tr className={value === 0 ? 'zero' : ''}>
      <th scope="row" title={place}>
        {name}
      </th>
      <td className="value">{value}</td>
      <td>
        {meaning}
        {differs && <b> {MMU.roots.differs}</b>}
      </td>
    </tr>
  );
}

export function Reserved(props: {
  title: string;
  about: string;
  rows: readonly ReservedView[];
}): React.JSX.Element {
  return (
    <details>
      <summary>{props.title}</summary>
      <p className="quiet">{props.rows.length === 0 ? MMU.reserved.none : props.about}</p>
      {props.rows.length > 0 && (
        <table className="masks" aria-label={props.title}>
          <thead>
            <tr>
              <th scope="col">{MMU.reserved.table}</th>
              <th scope="col">{MMU.reserved.small}</th>
              <th scope="col">{MMU.reserved.large}</th>
            </tr>
          </thead>
          <tbody>
            {props.rows.map(({ table, small, large }) => (
              <tr key={table}>
                <th scope="row">{table}</th>
                <td>{small}</td>
                <td>{large ?? MMU.reserved.noLarge}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </details>
  );
}
