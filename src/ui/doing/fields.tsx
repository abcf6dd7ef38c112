/** Fields of a form: each with its label, and groups of choices where there are many. */

interface ChoiceGroup<T extends string> {
  readonly label: string;
  readonly values: readonly T[];
}

export function Choose<T extends string>(props: {
  label: string;
  value: T;
  values: readonly T[] | readonly ChoiceGroup<T>[];
  /** What a choice is called, where that is not its own name. */
  text?: (value: T) => string;
  wide?: boolean;
  onChange: (value: T) => void;
}): React.JSX.Element {
  const { label, value, values, text = (own: T): string => own, wide = false, onChange } = props;
  const option = (own: T): React.JSX.Element => (
    <option key={own} value={own}>
      {text(own)}
    </option>
  );
  return (
    <label className={wide ? 'wide' : undefined}>
      <span>{label}</span>
      <select
        value={value}
        onChange={(event) => {
          onChange(event.target.value as T);
        }}
      >
        {values.map((own) =>
          typeof own === 'string' ? (
            option(own)
          ) : own.values.length === 0 ? null : own.label === '' ? (
            own.values.map(option)
          ) : (
            <optgroup key={own.label} label={own.label}>
              {own.values.map(option)}
            </optgroup>
          ),
        )}
      </select>
    </label>
  );
}

export function Field(props: {
  label: string;
  value: string;
  list?: string;
  narrow?: boolean;
  onChange: (value: string) => void;
}): React.JSX.Element {
  return (
    <label className={props.narrow === true ? undefined : 'wide'}>
      <span>{props.label}</span>
      <input
        value={props.value}
        list={props.list}
        spellCheck={false}
        autoComplete="off"
        autoCapitalize="off"
        onChange={(event) => {
          props.onChange(event.target.value);
        }}
      />
    </label>
  );
}
