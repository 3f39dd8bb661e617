{#-
  The hashes that come more than once in `relation`, which has a BIGINT column `key_hash`; each as often as it comes.

  Almost every key of a fact comes once, so the models copy those rows as they are and work only on the repeated
  ones. A hash that two keys share by accident costs a little work and changes nothing: the whole key decides later.
  A window over sorted longs takes half the processor time of GROUP BY ... HAVING, whose hash map outgrows the cache.
-#}
{% macro repeated_hashes(relation) -%}
select key_hash
from {{ relation }}
qualify count(*) over (partition by key_hash) > 1
{%- endmacro %}
