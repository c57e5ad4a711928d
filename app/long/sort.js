// Rows sorted by the column whose heading was chosen; once more turns the order around.
const value = (row, column) => {
  const words = row.children[column].textContent.trim();
  const number = Number(words);
  if (words === '–') return null;
  return Number.isNaN(number) ? words : number;
};

const compare = (a, b) =>
  typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b));

element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-column]');
  if (!button) return;
  const table = button.closest('table');
  const heading = button.closest('th');
  const column = Number(button.dataset.column);
  const turned = heading.getAttribute('aria-sort') === 'ascending';
  const sign = turned ? -1 : 1;
  const body = table.tBodies[0];
  const rows = [...body.rows].sort((one, other) => {
    const [a, b] = [value(one, column), value(other, column)];
    if (a === null || b === null) return (a === null) - (b === null); // what is unknown comes last
    return sign * compare(a, b);
  });
  for (const other of table.tHead.querySelectorAll('th')) other.removeAttribute('aria-sort');
  heading.setAttribute('aria-sort', turned ? 'descending' : 'ascending');
  body.append(...rows);
});
