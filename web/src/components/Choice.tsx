import { useId } from "react";

interface Props<T extends string> {
  name: string;
  options: readonly T[];
  value: T;
  onChange: (value: T) => void;
}

/** One of a few, all in sight: radio buttons drawn as one bar, so that arrow keys move between them. */
export function Choice<T extends string>({ name, options, value, onChange }: Props<T>) {
  const group = useId();
  return (
    <fieldset className="choice">
      <legend>{name}</legend>
      <div className="choice-bar">
        {options.map((option) => (
          <label key={option} data-option={option}>
            <input type="radio" name={group} value={option} checked={option === value} onChange={() => onChange(option)} />
            <span>{option}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
